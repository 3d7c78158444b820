import manifest from '../package.json' with { type: 'json' };

/** The version of the program: every package of the repository carries the same one. */
export const PROGRAM_VERSION: string = manifest.version;

import { fileURLToPath } from 'node:url';

const LAUNCHER = fileURLToPath(new URL('../../../bin/drawbridge', import.meta.url));

/** What starts this program once more, word by word; its verb follows. */
export const LAUNCHER_WORDS: readonly [command: string, ...args: string[]] = [
  process.execPath,
  '--disable-warning=ExperimentalWarning',
  LAUNCHER,
];

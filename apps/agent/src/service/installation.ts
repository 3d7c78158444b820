import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isBundleCurrent } from '@drawbridge/runtime/bundle-stamp';
import type { Argv } from './service-host.ts';

/** What a service runs, and what has to be done first. */
export interface Installation {
  /** The launcher of the bundle: smaller in memory than the sources, and quicker to start. */
  readonly program: string;
  /** Makes the bundle; undefined when it is as the sources are. */
  readonly bundling: Argv | undefined;
}

const PROGRAM = fileURLToPath(new URL('../../../../dist/drawbridge.js', import.meta.url));
/** Only a checkout has it: what runs from a bundle installs that bundle. */
const BUNDLER = fileURLToPath(new URL('../../../../scripts/bundle.ts', import.meta.url));

/** The installation this program belongs to. */
export async function findInstallation(): Promise<Installation> {
  const root = dirname(dirname(BUNDLER));
  const isReady = !existsSync(BUNDLER) || (await isBundleCurrent(root, dirname(PROGRAM)));
  return { program: PROGRAM, bundling: isReady ? undefined : [process.execPath, BUNDLER] };
}

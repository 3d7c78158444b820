import { mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import type { Env } from './proxy.ts';

/** Where a program keeps its data: `--data`, else DRAWBRIDGE_DATA, else `drawbridge` under XDG_DATA_HOME. Always absolute. */
export function dataDirOf(flag: string | undefined, env: Env, home: string = homedir()): string {
  const chosen = nonEmpty(flag) ?? nonEmpty(env['DRAWBRIDGE_DATA']);
  if (chosen !== undefined) return resolve(chosen);
  const dataHome = nonEmpty(env['XDG_DATA_HOME']);
  // The XDG specification has relative paths ignored.
  const base = dataHome !== undefined && isAbsolute(dataHome) ? dataHome : join(home, '.local', 'share');
  return join(base, 'drawbridge');
}

/** Makes the directory, readable by its owner alone, unless it is there. */
export function makeDataDir(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
}

function nonEmpty(value: string | undefined): string | undefined {
  return value === '' ? undefined : value;
}

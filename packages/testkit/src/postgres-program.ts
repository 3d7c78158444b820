import { accessSync, constants, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram } from './find-program.ts';

/** Debian keeps the programs of each version apart, and off the PATH. */
const VERSIONS_DIR = '/usr/lib/postgresql';

/** The path of a program of PostgreSQL's server, of the newest version that is installed. */
export function postgresProgram(name: 'initdb' | 'postgres'): string | undefined {
  const dirs = versions().map((version) => join(VERSIONS_DIR, version, 'bin', name));
  return findProgram(name) ?? dirs.find(isExecutable);
}

function versions(): string[] {
  try {
    return readdirSync(VERSIONS_DIR).toSorted((a, b) => Number(b) - Number(a));
  } catch {
    return [];
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

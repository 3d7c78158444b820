import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Administrators' programs are often not on a user's PATH, and are there all the same. */
const MORE_DIRS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

/** The path of the first of `names` that is installed. */
export function findProgram(...names: string[]): string | undefined {
  const dirs = [...(process.env['PATH'] ?? '').split(delimiter), ...MORE_DIRS].filter((dir) => dir !== '');
  return names.flatMap((name) => dirs.map((dir) => join(dir, name))).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

import { randomBytes } from 'node:crypto';
import { link, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ControlError } from '@drawbridge/protocol';

/** AES-256. */
export const KEY_BYTES = 32;
const GROUP_AND_OTHERS = 0o077;

/** Reads the key at `path`, and makes it first, on disk and readable by its owner alone, when there is none. */
export async function loadMasterKey(path: string): Promise<Uint8Array> {
  const key = await readKey(path);
  if (key !== undefined) return key;
  await createKey(path);
  const created = await readKey(path);
  if (created === undefined) throw new ControlError('store_unavailable', `${path}: the key file is gone again`);
  return created;
}

async function readKey(path: string): Promise<Uint8Array | undefined> {
  try {
    await using file = await open(path, 'r');
    const { mode, size } = await file.stat();
    if ((mode & GROUP_AND_OTHERS) !== 0) {
      const octal = (mode & 0o777).toString(8).padStart(4, '0');
      throw new ControlError('forbidden', `${path}: others can use this key file (mode ${octal}); chmod 600 it`);
    }
    if (size !== KEY_BYTES) {
      throw new ControlError('invalid_request', `${path}: a key file has ${KEY_BYTES} bytes, not ${size}`);
    }
    return await file.readFile();
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** A whole key under its name, or none; never over another's. */
async function createKey(path: string): Promise<void> {
  const temporary = `${path}.${randomBytes(8).toString('hex')}`;
  try {
    await writeDurably(temporary);
    await link(temporary, path).catch((error: unknown) => {
      // Another process was quicker: its key is the key.
      if (!hasCode(error, 'EEXIST')) throw error;
    });
  } finally {
    await rm(temporary, { force: true });
  }
  await using directory = await open(dirname(path), 'r');
  await directory.sync();
}

async function writeDurably(path: string): Promise<void> {
  await using file = await open(path, 'wx', 0o600);
  await file.writeFile(randomBytes(KEY_BYTES));
  await file.sync();
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

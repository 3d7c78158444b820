import { randomUUID } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** How long a file has to last. */
export interface AtomicFileOptions {
  /** True, the default: over a loss of power too. False: as long as the machine runs, which costs no fsync. */
  readonly durable?: boolean;
}

/**
 * Writes a file that only its owner can read, so that a crash at any moment leaves the old content or the new one, whole;
 * a durable one is on the disk when the promise resolves.
 */
export async function writeFileAtomic(
  path: string,
  content: string | Uint8Array,
  { durable = true }: AtomicFileOptions = {},
): Promise<void> {
  const directory = dirname(path);
  // In the same directory: a rename is atomic within one file system only.
  const temporary = join(directory, `.${basename(path)}.${randomUUID()}.tmp`);
  try {
    await write(temporary, content, durable);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  if (durable) await syncDirectory(directory);
}

async function write(path: string, content: string | Uint8Array, durable: boolean): Promise<void> {
  await using file = await open(path, 'wx', 0o600);
  await file.writeFile(content);
  if (durable) await file.sync();
}

/** Makes the names in a directory as durable as what they name: a rename is on the disk only then. */
export async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, 'r');
  await directory.sync();
}

import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** How long a file has to last. */
export interface AtomicFileOptions {
  /** True: over a loss of power too. False: as long as the machine runs, which costs no fsync. */
  readonly durable: boolean;
}

/** Replaces `path` with `content`: after a crash or on a full disk it is the old file or the new one, never a part. */
export async function writeFileAtomic(path: string, content: string, { durable }: AtomicFileOptions): Promise<void> {
  const next = `${path}.next`;
  try {
    await using file = await open(next, 'w', 0o600);
    await file.writeFile(content);
    if (durable) await file.datasync();
    await rename(next, path);
  } catch (error) {
    await rm(next, { force: true });
    throw error;
  }
  if (durable) await syncDir(dirname(path));
}

/** Makes the names in a directory as durable as what they name. */
export async function syncDir(path: string): Promise<void> {
  await using dir = await open(path, 'r');
  await dir.sync();
}

import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Replaces `path` with `content`: after a crash or on a full disk it is the old file or the new one, never a part. */
export async function writeFileAtomic(path: string, content: string): Promise<void> {
  const next = `${path}.next`;
  try {
    await using file = await open(next, 'w', 0o600);
    await file.writeFile(content);
    await file.datasync();
    await rename(next, path);
  } catch (error) {
    await rm(next, { force: true });
    throw error;
  }
  await syncDir(dirname(path));
}

/** Makes the names in a directory as durable as what they name. */
export async function syncDir(path: string): Promise<void> {
  await using dir = await open(path, 'r');
  await dir.sync();
}

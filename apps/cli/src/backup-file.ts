import { randomUUID } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { syncDirectory } from '@drawbridge/runtime/atomic-file';
import { readArchive } from '@drawbridge/runtime/backup-archive';
import { UsageError } from './exit-codes.ts';
import { write } from './output.ts';

/** A backup that is whole, and where it is. */
export interface SavedBackup {
  /** Null for standard output. */
  readonly file: string | null;
  readonly created_at: string;
  readonly server_id: string;
  readonly bytes: number;
  readonly rows: number;
  readonly tables: Readonly<Record<string, number>>;
}

type Take = (chunk: Uint8Array) => Promise<void>;

/**
 * Writes an archive and checks it as it passes. A file is there, whole, on the disk and readable by its owner alone, or is as it was
 * before; what went to standard output is a backup only when this resolves.
 */
export async function saveBackup(archive: AsyncIterable<Uint8Array>, file: string): Promise<SavedBackup> {
  if (file === '-') return { ...(await passThrough(archive, (chunk) => write(process.stdout, chunk))), file: null };
  const temporary = join(dirname(file), `.${basename(file)}.${randomUUID()}.tmp`);
  try {
    const saved = await writeTemporary(archive, temporary);
    await rename(temporary, file);
    await syncDirectory(dirname(file));
    return { ...saved, file };
  } catch (cause) {
    await rm(temporary, { force: true });
    if (!(cause instanceof Error && 'syscall' in cause)) throw cause;
    throw new UsageError(`${file} cannot be written: ${cause.message}`, { cause });
  }
}

async function writeTemporary(archive: AsyncIterable<Uint8Array>, path: string): Promise<Omit<SavedBackup, 'file'>> {
  await using handle = await open(path, 'wx', 0o600);
  const saved = await passThrough(archive, (chunk) => writeAll(handle, chunk));
  await handle.sync();
  return saved;
}

async function writeAll(handle: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let from = 0; from < chunk.byteLength;) from += (await handle.write(chunk, from)).bytesWritten;
}

/** The check draws the parts, and each is taken before the next is asked for. */
async function passThrough(archive: AsyncIterable<Uint8Array>, take: Take): Promise<Omit<SavedBackup, 'file'>> {
  let bytes = 0;
  async function* passing(): AsyncGenerator<Uint8Array> {
    for await (const chunk of archive) {
      await take(chunk);
      bytes += chunk.byteLength;
      yield chunk;
    }
  }
  const { header, trailer } = await readArchive(passing());
  const rows = Object.values(trailer.rows).reduce((sum, count) => sum + count, 0);
  return { created_at: header.created_at, server_id: header.server_id, bytes, rows, tables: trailer.rows };
}

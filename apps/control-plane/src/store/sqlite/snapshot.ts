import { randomUUID } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Kysely } from 'kysely';
import type { Schema } from '../schema.ts';
import type { Snapshot, Store } from '../store.ts';
import type { SqliteClient } from './client.ts';

/** A copy of the database beside it, opened as a store of its own: the database itself must not be opened twice. */
export async function takeSnapshot(
  client: SqliteClient,
  path: string,
  open: (path: string) => Promise<Store>,
): Promise<Snapshot> {
  const copy = `${prefixOf(path)}${randomUUID()}`;
  try {
    client.admit();
    await client.ask({ type: 'copy', path: copy });
    const store = await open(copy);
    return {
      db: new Kysely<Schema>({ dialect: store.dialect }),
      async [Symbol.asyncDispose]() {
        await store.close();
        await removeFiles(copy);
      },
    };
  } catch (error) {
    await removeFiles(copy);
    throw error;
  }
}

/** Removes the copies that an earlier process left behind. Only for whoever holds the database. */
export async function removeLeftCopies(path: string): Promise<void> {
  const prefix = basename(prefixOf(path));
  const names = (await readdir(dirname(path))).filter((name) => name.startsWith(prefix));
  await Promise.all(names.map((name) => rm(join(dirname(path), name), { force: true })));
}

function prefixOf(path: string): string {
  return `${path}.copy-`;
}

/** The copy, and what SQLite may have beside it. */
async function removeFiles(copy: string): Promise<void> {
  await Promise.all(['', '-journal', '-wal', '-shm'].map((end) => rm(`${copy}${end}`, { force: true })));
}

import { spawnSync } from 'node:child_process';
import { readdir, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { FakeClock, TempDir } from '@drawbridge/testkit';
import { Kysely, sql } from 'kysely';
import { expect, it } from 'vitest';
import { openSqlite } from './open-sqlite.ts';
import { agentNames, openTestStore } from './store-fixture.ts';

const WRITER = fileURLToPath(new URL('./kill-writer.ts', import.meta.url));

it('writes ahead, with a full sync at every commit, and checks foreign keys', async () => {
  await using test = await openTestStore();
  const pragma = async (name: string) => (await sql`pragma ${sql.raw(name)}`.execute(test.db)).rows[0];
  expect(await pragma('journal_mode')).toEqual({ journal_mode: 'wal' });
  expect(await pragma('synchronous')).toEqual({ synchronous: 2 });
  expect(await pragma('locking_mode')).toEqual({ locking_mode: 'exclusive' });
  expect(await pragma('foreign_keys')).toEqual({ foreign_keys: 1 });
  expect(await pragma('busy_timeout')).toEqual({ timeout: 0 });
});

it('keeps the file and its journal from other users', async () => {
  await using test = await openTestStore();
  expect((await stat(test.path)).mode & 0o777).toBe(0o600);
  expect((await stat(`${test.path}-wal`)).mode & 0o777).toBe(0o600);
});

it('refuses a second opener, by name, until the first has closed', async () => {
  await using test = await openTestStore();
  const again = () => openSqlite({ path: test.path, clock: new FakeClock() });
  await expect(again()).rejects.toMatchObject({
    code: 'conflict',
    message: `another control plane runs on ${test.path}`,
  });
  // The refusal must not have cost this process its lock, which only another process would notice.
  const other = spawnSync(process.execPath, [WRITER, test.path], { encoding: 'utf8', timeout: 30_000 });
  expect(other.stderr).toContain(`another control plane runs on ${test.path}`);
  expect(other.status).toBe(1);
  await test.store.close();
  await using second = await again();
  expect(second.stats().commits).toBe(0);
});

it('says why a file cannot be opened', async () => {
  await using directory = await TempDir.make();
  const path = directory.join('missing', 'store.db');
  await expect(openSqlite({ path, clock: new FakeClock() })).rejects.toMatchObject({
    code: 'store_unavailable',
    message: expect.stringContaining(path),
  });
});

it('gives back what it was given: bytes, booleans as 0 and 1, null, numbers', async () => {
  await using test = await openTestStore();
  const { db } = test;
  const key = Buffer.from('a key');
  await db.insertInto('agents').values({ name: 'a', enabled: false, key }).execute();
  const inserted = await db.insertInto('agents').values({ name: 'b', key: null }).executeTakeFirst();
  const rows = await db.selectFrom('agents').selectAll().orderBy('id').execute();
  expect(rows).toEqual([
    { id: 1, name: 'a', enabled: 0, key: new Uint8Array(key) },
    { id: 2, name: 'b', enabled: 1, key: null },
  ]);
  expect(inserted).toMatchObject({ insertId: 2n, numInsertedOrUpdatedRows: 1n });
  const updated = await db.updateTable('agents').set({ enabled: true }).executeTakeFirst();
  expect(updated.numUpdatedRows).toBe(2n);
  const returned = await db.deleteFrom('agents').where('id', '=', 1).returning('name').execute();
  expect(returned).toEqual([{ name: 'a' }]);
});

it('refuses a parameter that has no place in a column, without showing it', async () => {
  await using test = await openTestStore();
  const query = sql`select ${{ secret: 'hunter2' }}`.execute(test.db);
  await expect(query).rejects.toThrow('parameter 1: [object Object] has no place in a column');
});

it('keeps what was committed when it is opened again', async () => {
  await using test = await openTestStore();
  await test.db.insertInto('agents').values({ name: 'a' }).execute();
  await test.store.close();
  // Closed is checkpointed: the file is the whole store.
  expect(await readdir(test.directory.path)).toEqual(['store.db']);
  await using store = await openSqlite({ path: test.path, clock: test.clock });
  expect(await agentNames(new Kysely({ dialect: store.dialect }))).toEqual(['a']);
});

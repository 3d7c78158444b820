import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { eventually, requires } from '@drawbridge/testkit';
import { readArchive } from '@drawbridge/runtime/backup-archive';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Engine } from '../store/engine.ts';
import { makeTestDatabase } from '../store/test-database-fixture.ts';
import { fillWorld, openWorld } from './backup-world-fixture.ts';
import type { BackupWorld } from './backup-world-fixture.ts';
import { IDENTITY_FILE, KEY_FILE } from './key-check.ts';
import { BACKUP_LIMITS } from './limits.ts';

const ENGINES: readonly Engine[] = requires('postgres') ? ['sqlite', 'postgres'] : ['sqlite'];

async function makeWorld(engine: Engine = 'sqlite'): Promise<BackupWorld> {
  const database = await makeTestDatabase(engine);
  onTestFinished(() => database[Symbol.asyncDispose]());
  const world = await openWorld(database);
  onTestFinished(() => world[Symbol.asyncDispose]());
  await fillWorld(world);
  return world;
}

const at = '2026-01-07T10:00:00.000Z';
/** A user and their role are written together: a backup has both, or neither. */
async function addPair({ db }: BackupWorld, id: string): Promise<void> {
  await db.transaction().execute(async (trx) => {
    await trx.insertInto('users').values({ id, name: id, created_at: at, updated_at: at }).execute();
    await trx.insertInto('role_bindings').values({ user_id: id, role: 'viewer', selector: '' }).execute();
  });
}

/** What the copies of the database are called, as far as they are there. */
const copies = async ({ database }: BackupWorld) =>
  (await readdir(database.dir.path)).filter((name) => name.includes('.copy-'));

describe.each(ENGINES)('on %s', (engine) => {
  it('shows one moment of a store that is written all the while', async () => {
    const world = await makeWorld(engine);
    const over = new AbortController();
    const writing = (async () => {
      let written = 0;
      for (; !over.signal.aborted; written += 1) await addPair(world, `pair-${String(written).padStart(6, '0')}`);
      return written;
    })();
    onTestFinished(() => over.abort());
    const seen: number[] = [];
    for (let turn = 0; turn < 3; turn += 1) {
      const { archive } = await world.backups.take();
      const pairs = { users: new Set<unknown>(), role_bindings: new Set<unknown>() };
      await readArchive(archive, {
        row({ table, row }) {
          if (table === 'users') pairs.users.add(row['id']);
          if (table === 'role_bindings' && row['role'] === 'viewer') pairs.role_bindings.add(row['user_id']);
        },
      });
      pairs.users.delete('u1');
      expect([...pairs.role_bindings]).toEqual([...pairs.users]);
      seen.push(pairs.users.size);
    }
    over.abort();
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect(await writing).toBeGreaterThanOrEqual(seen.at(-1) ?? Number.NaN);
    expect(seen.at(-1)).toBeGreaterThan(seen[0] ?? Number.NaN);
  });

  it('shows nothing of what is committed after its moment', async () => {
    const world = await makeWorld(engine);
    await using snapshot = await world.store.snapshot();
    await addPair(world, 'later');
    const ids = async (db: typeof world.db) =>
      (await db.selectFrom('users').select('id').execute()).map(({ id }) => id);
    expect(await ids(snapshot.db)).toEqual(['u1']);
    expect(await ids(world.db)).toContain('later');
  });

  it('is taken one at a time, and again when the first is done or was broken off', async () => {
    const world = await makeWorld(engine);
    const first = await world.backups.take();
    await expect(world.backups.take()).rejects.toMatchObject({ code: 'conflict' });
    first.archive.destroy();
    const second = await eventually(() => world.backups.take(), { what: 'the first to be over' });
    expect((await readArchive(second.archive)).trailer.rows).toMatchObject({ agent_events: 250, audit_records: 2 });
    await eventually(() => copies(world), { what: 'the copy to be gone', until: (names) => names.length === 0 });
  });

  it('is broken off when nobody reads on', async () => {
    const world = await makeWorld(engine);
    // More than all buffers on the way hold, and hard to compress.
    const text = () => randomBytes(200_000).toString('base64');
    for (let row = 0; row < 4; row += 1) {
      const event = { agent_id: 'agent-1', journal_id: 'journal-2', seq: row, event_type: 'x', created_at: at };
      await world.db
        .insertInto('agent_events')
        .values({ ...event, id: `z-${row}`, event_data: text() })
        .execute();
    }
    const { archive } = await world.backups.take();
    const failed = new Promise((resolve) => archive.once('error', resolve));
    await eventually(() => archive.readableLength, { what: 'the buffers to be full', until: (bytes) => bytes > 0 });
    await eventually(
      async () => {
        await world.clock.advance(BACKUP_LIMITS.readerPauseMsMax);
        return archive.destroyed;
      },
      { what: 'the reader to be given up', until: Boolean },
    );
    expect(await failed).toMatchObject({ message: /nobody has read on/ });
  });

  it('ends with the control plane, and leaves no copy', async () => {
    const world = await makeWorld(engine);
    const { archive } = await world.backups.take();
    const failed = new Promise((resolve) => archive.once('error', resolve));
    await world.backups[Symbol.asyncDispose]();
    expect(await failed).toMatchObject({ code: 'server_draining' });
    await expect(world.backups.take()).rejects.toMatchObject({ code: 'server_draining' });
    expect(await copies(world)).toEqual([]);
  });
});

it('holds sealed columns as they are, and neither the key nor the identity', async () => {
  const world = await makeWorld();
  const { name, archive } = await world.backups.take();
  const text = gunzipSync(await buffer(archive)).toString();
  expect(name).toMatch(/^drawbridge-\d{8}T\d{6}Z\.backup$/);
  const { dir } = world.database;
  const key = await readFile(dir.join(KEY_FILE));
  const { private_key: pem } = JSON.parse(await readFile(dir.join(IDENTITY_FILE), 'utf8')) as { private_key: string };
  const secrets = [key.toString('base64'), key.toString('base64url'), key.toString('hex'), pem.split('\n')[1] ?? pem];
  expect(secrets.filter((secret) => text.includes(secret))).toEqual([]);
  expect(JSON.parse(text.slice(0, text.indexOf('\n')))).toMatchObject({
    format: 'drawbridge-backup',
    engine: 'sqlite',
  });
});

it('starts while somebody writes, and waits for the end of that', async () => {
  const world = await makeWorld();
  const hasWritten = Promise.withResolvers<void>();
  const { promise, resolve: letGo } = Promise.withResolvers<void>();
  const writing = world.db.transaction().execute(async (trx) => {
    await trx.insertInto('users').values({ id: 'slow', name: 'slow', created_at: at, updated_at: at }).execute();
    hasWritten.resolve();
    await promise;
  });
  await hasWritten.promise;
  const taking = world.backups.take();
  await eventually(() => copies(world), { what: 'the copy to be begun', until: (names) => names.length > 0 });
  letGo();
  await writing;
  const { archive } = await taking;
  await expect(readArchive(archive)).resolves.toMatchObject({ trailer: { rows: { users: 2 } } });
});

it('removes at the next start what an earlier process left behind, and nothing else', async () => {
  const world = await makeWorld();
  const { database } = world;
  await world[Symbol.asyncDispose]();
  for (const name of ['store.db.copy-1', 'store.db.copy-1-journal', 'store.db.kept', 'copy-1']) {
    writeFileSync(database.dir.join(name), '');
  }
  await using _again = await openWorld(database);
  const names = await readdir(database.dir.path);
  expect(names.filter((name) => name.includes('copy-') || name.endsWith('.kept')).toSorted()).toEqual([
    'copy-1',
    'store.db.kept',
  ]);
});

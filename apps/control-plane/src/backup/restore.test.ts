import { createHash, randomBytes } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { FakeClock, requires } from '@drawbridge/testkit';
import { memoryLog } from '@drawbridge/runtime/testing';
import { describe, expect, it, onTestFinished } from 'vitest';
import { AuditLog } from '../audit/audit-log.ts';
import { ServerIdentity } from '../identity/server-identity.ts';
import type { Engine } from '../store/engine.ts';
import { SecretBox } from '../store/secret-box.ts';
import { makeTestDatabase } from '../store/test-database-fixture.ts';
import type { TestDatabase } from '../store/test-database-fixture.ts';
import { alterArchive, fillWorld, makeTarget, openWorld, saveBackup } from './backup-world-fixture.ts';
import { dump } from './filled-store-fixture.ts';
import { IDENTITY_FILE, KEY_FILE, archiveMac } from './key-check.ts';
import { restore } from './restore.ts';

const ENGINES: readonly Engine[] = requires('postgres') ? ['sqlite', 'postgres'] : ['sqlite'];
const WAYS = ENGINES.flatMap((from) => ENGINES.map((to) => [from, to] as const));

/** A database that is gone at the end of the test. */
async function owned(made: Promise<TestDatabase>): Promise<TestDatabase> {
  const database = await made;
  onTestFinished(() => database[Symbol.asyncDispose]());
  return database;
}

/** A filled store, closed again, and a backup of it. */
async function makeBackup(engine: Engine = 'sqlite') {
  const source = await owned(makeTestDatabase(engine));
  await using world = await openWorld(source);
  await fillWorld(world);
  return { source, file: await saveBackup(world), rows: await dump(world.db) };
}

const target = (source: TestDatabase, engine: Engine = 'sqlite') => owned(makeTarget(engine, source));

const putBack = ({ location, dir }: TestDatabase, file: string, isForced = false) =>
  restore({ file, location, dataDir: dir.path, isForced, clock: new FakeClock() });

/** What a database holds now. */
async function rowsOf(database: TestDatabase) {
  await using world = await openWorld(database);
  return await dump(world.db);
}

describe.each(WAYS)('from %s to %s', (from, to) => {
  it('gives back every row of every table, but for what it changes on purpose', async () => {
    const { source, file, rows } = await makeBackup(from);
    const database = await target(source, to);
    await putBack(database, file);
    const back = await rowsOf(database);
    const changed = [
      'commands',
      'tasks',
      'bulk_runs',
      'bulk_targets',
      'sign_in_sessions',
      'join_tokens',
      'tunnel_leases',
    ];
    for (const [table, expected] of Object.entries(rows)) {
      expect({ table, isFilled: expected.length > 0 }).toEqual({ table, isFilled: true });
      if (changed.includes(table) || table.startsWith('audit_')) continue;
      expect({ table, rows: back[table] }).toEqual({ table, rows: expected });
    }
    expect(back['audit_records']?.slice(0, rows['audit_records']?.length)).toEqual(rows['audit_records']);
    expect(back['commands']?.filter((row) => row['id'] === 'c-done')).toEqual(
      rows['commands']?.filter((row) => row['id'] === 'c-done'),
    );
  });

  it('gives the same rows again when what was put back is backed up and put back', async () => {
    const { source, file } = await makeBackup(from);
    const database = await target(source, to);
    await putBack(database, file);
    await using world = await openWorld(database);
    const once = await dump(world.db);
    const second = await target(source, from);
    await putBack(second, await saveBackup(world));
    const { audit_records: before = [], audit_checkpoints: _c, audit_head: _h, ...expected } = once;
    const { audit_records: after = [], audit_checkpoints: _d, audit_head: _i, ...again } = await rowsOf(second);
    // What putting back changes on purpose, it changes again.
    const { tunnel_leases: leases = [] } = expected;
    const moved = leases.map((row) => (row['ended_at'] === null ? { ...row, epoch: Number(row['epoch']) + 1e6 } : row));
    expect(again).toEqual({ ...expected, tunnel_leases: moved });
    expect(after.slice(0, before.length)).toEqual(before);
  });
});

describe.each(ENGINES)('on %s, a store put back', (engine) => {
  it('knows of nothing unfinished what came of it, and starts nothing of it again', async () => {
    const { source, file } = await makeBackup(engine);
    const database = await target(source, engine);
    const { settled, header } = await putBack(database, file);
    const { commands = [], tasks = [], bulk_runs: runs = [], bulk_targets: targets = [] } = await rowsOf(database);
    expect(settled).toMatchObject({ commands: 3, tasks: 2, bulkRuns: 1 });
    const states = (rows: typeof commands, key = 'id') =>
      Object.fromEntries(rows.map((row) => [row[key], row['state']]));
    expect(states(commands)).toEqual({
      'c-done': 'succeeded',
      'c-queued': 'indeterminate',
      'c-delivered': 'indeterminate',
      'c-running': 'indeterminate',
    });
    expect(states(tasks, 'command_id')).toEqual({
      'c-done': 'succeeded',
      'c-queued': 'indeterminate',
      'c-running': 'indeterminate',
    });
    expect(states(runs)).toEqual({ 'run-1': 'failed' });
    expect(targets.map(({ state }) => state)).toEqual(['succeeded', 'indeterminate', 'indeterminate']);
    const message = `the control plane was put back to ${header.created_at}: nobody knows what came of it`;
    const unknown = { error_code: 'indeterminate', error_message: message };
    for (const row of [...commands, ...tasks].filter(({ state }) => state === 'indeterminate')) {
      expect(row).toMatchObject({ ...unknown, ended_at: expect.any(String) });
    }
    expect([...commands, ...runs].map(({ content }) => content)).toEqual([null, null, null, null, null]);
  });

  it('puts tunnels that were not over into grace, with epochs that nobody has seen', async () => {
    const { source, file, rows } = await makeBackup(engine);
    const database = await target(source, engine);
    expect((await putBack(database, file)).settled.leases).toBe(1);
    const { tunnel_leases: back = [] } = await rowsOf(database);
    const [active, closed] = rows['tunnel_leases'] ?? [];
    expect(back).toEqual([{ ...active, state: 'grace', grace_since: expect.any(String), epoch: 1_000_007 }, closed]);
  });

  it('lets nobody in by what may have been used or ended since, and keeps API tokens', async () => {
    const { source, file, rows } = await makeBackup(engine);
    const database = await target(source, engine);
    await putBack(database, file);
    const back = await rowsOf(database);
    expect(back['sign_in_sessions']).toEqual([]);
    expect(back['join_tokens']).toMatchObject([
      { id: 'j1', uses_left: 0, revoked_at: null },
      { id: 'j2', uses_left: 3, revoked_at: expect.any(String) },
    ]);
    expect(back['api_tokens']).toEqual(rows['api_tokens']);
  });

  it('goes on with the chain of its audit log, whose end says that it was put back', async () => {
    const { source, file, rows } = await makeBackup(engine);
    const database = await target(source, engine);
    await putBack(database, file);
    await using world = await openWorld(database);
    const identity = await ServerIdentity.load(source.dir.join(IDENTITY_FILE));
    await using audit = new AuditLog({ ...world, identity, log: memoryLog().log, retentionDays: 1 });
    const { records } = await audit.list({ limit: 1, filter: {} });
    const before = rows['audit_records']?.length ?? 0;
    expect(records).toMatchObject([{ seq: before + 1, verb: 'server.restore', actor: 'system:system' }]);
    expect(await audit.verify()).toMatchObject({ ok: true, records: before + 1 });
  });

  it('is filled only when it is empty, and replaced as a whole only by force', async () => {
    const { source, file, rows } = await makeBackup(engine);
    {
      await using world = await openWorld(source);
      await world.db.insertInto('groups').values(group('later')).execute();
    }
    await expect(putBack(source, file)).rejects.toMatchObject({ code: 'conflict', message: /--force/ });
    expect((await rowsOf(source))['groups']).toHaveLength(2);
    await putBack(source, file, true);
    expect((await rowsOf(source))['groups']).toEqual(rows['groups']);
  });

  it('is as it was when putting back fails half-way', async () => {
    const { source, file, rows } = await makeBackup(engine);
    await forge(source, file, (text) => text.replace('"c-done","agent_id":"agent-1"', '"c-done","agent_id":"nobody"'));
    await expect(putBack(source, file, true)).rejects.toMatchObject({ violation: 'foreign_key' });
    expect(await rowsOf(source)).toEqual(rows);
  });

  it('is not touched while a control plane runs on it', async () => {
    const { source, file } = await makeBackup(engine);
    await using _world = await openWorld(source);
    await expect(putBack(source, file, true)).rejects.toMatchObject({
      code: 'conflict',
      message: /another control plane/,
    });
  });
});

describe('a backup is refused', () => {
  it('without the key or the identity, which are not made anew', async () => {
    const { source, file } = await makeBackup();
    for (const name of [KEY_FILE, IDENTITY_FILE]) {
      const database = await target(source);
      await rm(database.dir.join(name));
      await expect(putBack(database, file)).rejects.toMatchObject({
        code: 'conflict',
        message: new RegExp(`${name} is missing`),
      });
      await expect(putBack(database, file)).rejects.toThrow(`${name} is missing`);
    }
  });

  it('beside another key, and beside another identity', async () => {
    const { source, file } = await makeBackup();
    const other = await target(source);
    await writeFile(other.dir.join(KEY_FILE), randomBytes(32), { mode: 0o600 });
    await expect(putBack(other, file)).rejects.toThrow(`${KEY_FILE} is not the key`);
    const stranger = await target(source);
    await rm(stranger.dir.join(IDENTITY_FILE));
    await ServerIdentity.load(stranger.dir.join(IDENTITY_FILE));
    await expect(putBack(stranger, file)).rejects.toThrow(`${IDENTITY_FILE} is another control plane's`);
  });

  it('when somebody else than the holder of the key has written it', async () => {
    const { source, file } = await makeBackup();
    await alterArchive(file, (text) => withTrailer(text.replace('"name":"ann"', '"name":"eve"'), (sha256) => sha256));
    await expect(putBack(await target(source), file)).rejects.toThrow('the backup was altered');
  });

  it('when it is cut off or altered, naming the file', async () => {
    const { source, file } = await makeBackup();
    await alterArchive(file, (text) => text.replace('"name":"ann"', '"name":"eve"'));
    await expect(putBack(await target(source), file)).rejects.toThrow(`${file}: this is no whole backup`);
    await alterArchive(file, (text) => text.slice(0, text.lastIndexOf('{"table"')));
    await expect(putBack(await target(source), file)).rejects.toThrow('it is cut off');
    await expect(putBack(await target(source), `${file}.gone`)).rejects.toMatchObject({ code: 'invalid_request' });
  });

  it('when a newer program has made it', async () => {
    const { source, file } = await makeBackup();
    await forge(source, file, (text) => text.replace('"migrations":[', '"migrations":["9999-future",'));
    await expect(putBack(await target(source), file)).rejects.toMatchObject({
      code: 'unsupported',
      message: /9999-future/,
    });
  });

  it.each([
    ['a table', '{"table":"roles","row"', '{"table":"rules","row"', '"roles":1,', '"rules":1,'],
    ['a column', '"row":{"name":"nightly"', '"row":{"title":"nightly"', '"roles":1,', '"roles":1,'],
  ])('with %s that is unknown here, having changed nothing', async (_, known, unknown, before, told) => {
    const { source, file } = await makeBackup();
    const database = await target(source);
    await forge(source, file, (text) => text.replace(known, unknown).replace(before, told));
    await expect(putBack(database, file)).rejects.toMatchObject({ code: 'unsupported', message: /rules|title/ });
    expect((await rowsOf(database))['users']).toEqual([]);
  });
});

it('runs the migrations that came after the backup', async () => {
  const { source, file, rows } = await makeBackup();
  // As it would have been before the last migration: without its table.
  await forge(source, file, (text) =>
    text
      .split('\n')
      .filter((line) => !line.includes('"table":"tunnel_leases"'))
      .join('\n')
      .replace(',"0007-tunnels"', '')
      .replace('"tunnel_leases":2', '"tunnel_leases":0'),
  );
  const database = await target(source);
  await putBack(database, file);
  const back = await rowsOf(database);
  expect(back['tunnel_leases']).toEqual([]);
  expect(back['agent_events']).toEqual(rows['agent_events']);
});

const group = (name: string) => {
  const at = '2026-01-07T10:00:00.000Z';
  return { id: name, name, selector: '', description: '', created_by: 'user:u1', created_at: at, updated_at: at };
};

/** Alters an archive as only the holder of the key can. */
async function forge({ dir }: TestDatabase, file: string, alter: (text: string) => string): Promise<void> {
  const box = await SecretBox.load(dir.join(KEY_FILE));
  await alterArchive(file, (text) => withTrailer(alter(text), (sha256) => archiveMac(box, sha256)));
}

/** The text with a trailer that fits its lines. */
function withTrailer(text: string, macOf: (sha256: string) => string): string {
  const at = text.trimEnd().lastIndexOf('\n') + 1;
  const sha256 = createHash('sha256').update(text.slice(0, at)).digest('hex');
  const { rows } = JSON.parse(text.slice(at)) as { rows: Record<string, number> };
  return `${text.slice(0, at)}${JSON.stringify({ rows, sha256, mac: macOf(sha256) })}\n`;
}

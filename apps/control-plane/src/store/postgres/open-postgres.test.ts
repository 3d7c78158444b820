import { LIMITS } from '@drawbridge/protocol';
import { eventually, requires, TestPostgres } from '@drawbridge/testkit';
import { Kysely, sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import { addAgent, agentNames, createTestTables, type TestSchema } from '../sqlite/store-fixture.ts';
import { asSuperuser, makeTestDatabase, type TestDatabase } from '../test-database-fixture.ts';
import { openPostgres, type OpenPostgresOptions } from './open-postgres.ts';

const UNAVAILABLE = { code: 'store_unavailable' };

async function openTables(database: TestDatabase, more: Partial<OpenPostgresOptions> = {}) {
  const store = await openPostgres({ url: database.location.url, connectionsMax: 4, ...more });
  const db = new Kysely<TestSchema>({ dialect: store.dialect });
  await createTestTables(db);
  return { store, db, [Symbol.asyncDispose]: () => store.close() };
}

describe.runIf(requires('postgres'))('the store on PostgreSQL', () => {
  it('refuses a second control plane on its database, by name and without its password', async () => {
    await using database = await makeTestDatabase('postgres');
    await using opened = await openTables(database);
    const url = new URL(database.location.url);
    url.password = 'hunter2';
    const refused = await openPostgres({ url: url.href, connectionsMax: 1, takeoverMsMax: 200 }).catch(
      (error: unknown) => error,
    );
    expect(refused).toMatchObject({
      code: 'conflict',
      message: `another control plane runs on postgres://${url.host}${url.pathname}`,
    });
    await opened.store.close();
    await using second = await openPostgres({ url: url.href, connectionsMax: 1, takeoverMsMax: 200 });
    expect(second.engine).toBe('postgres');
  });

  it('says why a database cannot be opened, and not with which password', async () => {
    const nobody = openPostgres({
      url: 'postgres://me:hunter2@127.0.0.1:1/none?password=hunter2',
      connectionsMax: 1,
      takeoverMsMax: 200,
    });
    const refused = await nobody.catch((error: unknown) => error);
    expect(refused).toMatchObject({
      ...UNAVAILABLE,
      message: 'postgres://127.0.0.1:1/none: connect ECONNREFUSED 127.0.0.1:1',
    });
    expect(JSON.stringify(refused, Object.getOwnPropertyNames(refused))).not.toContain('hunter2');
    const unreadable = await openPostgres({
      url: 'postgres://me:hunter2@[/',
      connectionsMax: 1,
      takeoverMsMax: 200,
    }).catch((error: unknown) => error);
    expect(unreadable).toMatchObject({ code: 'invalid_request' });
    expect(String(unreadable)).not.toContain('hunter2');
  });

  it('undoes a transaction whose caller hangs, and lets the others go on', async () => {
    await using database = await makeTestDatabase('postgres');
    await using opened = await openTables(database, { pauseMsMax: 1_000 });
    const { db } = opened;
    const half = Promise.withResolvers<void>();
    const resume = Promise.withResolvers<void>();
    const hanging = db.transaction().execute(async (trx) => {
      await addAgent(trx, 'prize');
      half.resolve();
      await resume.promise;
      await addAgent(trx, 'too late');
    });
    await half.promise;
    // It waits for the key that the other one holds.
    await addAgent(db, 'prize');
    resume.resolve();
    await expect(hanging).rejects.toMatchObject({
      code: 'timed_out',
      message: 'the transaction was undone: it kept the store waiting for 1000 ms',
    });
    expect(await agentNames(db)).toEqual(['prize']);
  });

  it('lets both of two go on that wait for each other', async () => {
    await using database = await makeTestDatabase('postgres');
    await using opened = await openTables(database);
    const { db } = opened;
    await addAgent(db, 'a');
    await addAgent(db, 'b');
    const inOrder = (first: string, second: string) =>
      sql`with one as (update agents set enabled = enabled + 1 where name = ${first} returning pg_sleep(0.05))
        update agents set enabled = enabled + 1 where name = ${second} and exists (select 1 from one)`.execute(db);
    await Promise.all(Array.from({ length: 2 }, (_, turn) => (turn % 2 === 0 ? inOrder('a', 'b') : inOrder('b', 'a'))));
    const rows = await db.selectFrom('agents').select('enabled').execute();
    expect(rows).toEqual([{ enabled: 3 }, { enabled: 3 }]);
  });

  it('refuses a number that a program cannot count', async () => {
    await using database = await makeTestDatabase('postgres');
    await using opened = await openTables(database);
    const tooLarge = sql`select 9007199254740993::int8 as n`.execute(opened.db);
    await expect(tooLarge).rejects.toMatchObject({ code: 'internal', message: expect.stringContaining('16 digits') });
    expect((await sql`select 2::int8 as n`.execute(opened.db)).rows).toEqual([{ n: 2 }]);
  });

  it('shows no value that PostgreSQL quotes', async () => {
    await using database = await makeTestDatabase('postgres');
    await using opened = await openTables(database);
    const { db } = opened;
    await sql`create table secrets (short varchar(3), number integer)`.execute(db);
    const refused = await Promise.all(
      [
        sql`insert into secrets (number) values (${'hunter2'})`.execute(db),
        sql`insert into secrets (number) values (${'99999999999'})`.execute(db),
        sql`insert into secrets (short) values (${'hunter2'})`.execute(db),
        sql`select ${'hunter2'}::uuid`.execute(db),
      ].map((query) => query.then(() => undefined).catch((error: unknown) => error)),
    );
    for (const error of refused) {
      expect(error).toMatchObject({
        name: 'StatementError',
        message: expect.stringMatching(/^refused \(PostgreSQL 22/),
      });
      expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toMatch(/hunter2|99999999999/);
    }
  });

  it('bounds how much waits', async () => {
    await using database = await makeTestDatabase('postgres');
    await using opened = await openTables(database);
    const outcomes = await Promise.allSettled(
      Array.from({ length: LIMITS.storeRequestsMax + 200 }, () => sql`select 1`.execute(opened.db)),
    );
    const refused = outcomes.filter(({ status }) => status === 'rejected');
    expect(refused.length).toBeGreaterThan(0);
    // On a slow machine one of those that may wait can run out of time: the last is one too many for certain.
    expect(refused.at(-1)).toMatchObject({
      reason: { ...UNAVAILABLE, message: expect.stringContaining('waiting already') },
    });
    expect(opened.store.stats().waiting).toBe(0);
  });
});

describe.runIf(requires('initdb'))('the store on a PostgreSQL that dies', () => {
  it('fails every call while it is away, and is back by itself', async () => {
    await using postgres = await TestPostgres.start();
    await using store = await openPostgres({ url: postgres.url, connectionsMax: 4 });
    const db = new Kysely<TestSchema>({ dialect: store.dialect });
    await createTestTables(db);
    await addAgent(db, 'before');
    const half = Promise.withResolvers<void>();
    const resume = Promise.withResolvers<void>();
    const open = db.transaction().execute(async (trx) => {
      await addAgent(trx, 'undone');
      half.resolve();
      await resume.promise;
      await addAgent(trx, 'too late');
    });
    const running = sql`select pg_sleep(30)`.execute(db);
    const settled = Promise.allSettled([open, running]);
    await half.promise;
    await postgres.kill9();
    resume.resolve();
    for (const outcome of await settled) expect(outcome).toMatchObject({ status: 'rejected', reason: UNAVAILABLE });
    await expect(addAgent(db, 'away')).rejects.toMatchObject(UNAVAILABLE);
    await expect(db.transaction().execute((trx) => addAgent(trx, 'away'))).rejects.toMatchObject(UNAVAILABLE);
    await postgres.launch();
    await eventually(() => addAgent(db, 'after').then(() => true), { what: 'the store to be back' });
    expect(await agentNames(db)).toEqual(['before', 'after']);
    expect(store.stats().failures).toBeGreaterThanOrEqual(3);
  }, 60_000);

  it('takes its lock again when only that connection was lost', async () => {
    await using postgres = await TestPostgres.start();
    await using store = await openPostgres({ url: postgres.url, connectionsMax: 4 });
    const db = new Kysely<TestSchema>({ dialect: store.dialect });
    await createTestTables(db);
    await endLock(postgres);
    await eventually(async () => (await locks(postgres)) === 1, { what: 'the lock to be taken again' });
    await expect(openPostgres({ url: postgres.url, connectionsMax: 1, takeoverMsMax: 200 })).rejects.toMatchObject({
      code: 'conflict',
    });
    await addAgent(db, 'again');
  }, 60_000);

  it('keeps what a transaction began before its lock was lost from being committed', async () => {
    await using postgres = await TestPostgres.start();
    await using store = await openPostgres({ url: postgres.url, connectionsMax: 4 });
    const db = new Kysely<TestSchema>({ dialect: store.dialect });
    await createTestTables(db);
    const half = Promise.withResolvers<void>();
    const resume = Promise.withResolvers<void>();
    const open = db.transaction().execute(async (trx) => {
      await addAgent(trx, 'undone');
      half.resolve();
      await resume.promise;
    });
    const settled = Promise.allSettled([open]);
    await half.promise;
    await endLock(postgres);
    await eventually(() => agentNames(db).then((names) => names.length === 0), { what: 'the lock to be taken again' });
    resume.resolve();
    expect(await settled).toMatchObject([{ status: 'rejected', reason: UNAVAILABLE }]);
    expect(await agentNames(db)).toEqual([]);
  }, 60_000);

  it('ends when another control plane took its lock meanwhile', async () => {
    await using postgres = await TestPostgres.start();
    await using store = await openPostgres({ url: postgres.url, connectionsMax: 4, takeoverMsMax: 200 });
    const db = new Kysely<TestSchema>({ dialect: store.dialect });
    await createTestTables(db);
    const second = openPostgres({ url: postgres.url, connectionsMax: 1 });
    await eventually(async () => (await locks(postgres)) === 2, { what: 'the second to wait for the lock' });
    await endLock(postgres);
    await using other = await second;
    await store.ended;
    const refused = await addAgent(db, 'too late').catch((error: unknown) => error);
    expect(refused).toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('another control plane runs on'),
    });
    expect(await agentNames(new Kysely({ dialect: other.dialect }))).toEqual([]);
  }, 60_000);
});

/** Ends the connection that holds the lock, and no other. */
async function endLock({ url }: TestPostgres): Promise<void> {
  await asSuperuser(`select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted`, url);
}

async function locks({ url }: TestPostgres): Promise<number> {
  const rows = await asSuperuser(`select 1 from pg_locks where locktype = 'advisory'`, url);
  return rows.length;
}

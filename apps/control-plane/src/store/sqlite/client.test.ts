import { LIMITS } from '@drawbridge/protocol';
import { FakeClock, TempDir } from '@drawbridge/testkit';
import { Kysely, sql } from 'kysely';
import { expect, it } from 'vitest';
import { SqliteClient } from './client.ts';
import { sqliteDialect } from './dialect.ts';
import { openSqlite, startWorker } from './open-sqlite.ts';
import { addAgent, agentNames, createTestTables, openTestStore, type TestSchema } from './store-fixture.ts';

const UNAVAILABLE = { code: 'store_unavailable' };

it('settles everything that waits when it closes', async () => {
  await using test = await openTestStore();
  const { db, store } = test;
  const paused = Promise.withResolvers<void>();
  const open = db.transaction().execute(async (trx) => {
    await addAgent(trx, 'undone');
    paused.resolve();
    await store.ended;
  });
  await paused.promise;
  const waiting = Array.from({ length: 20 }, (_, index) => addAgent(db, `agent-${index}`));
  const waitingTransaction = db.transaction().execute((trx) => addAgent(trx, 'never'));
  const settled = Promise.allSettled([open, waitingTransaction, ...waiting]);
  // One turn for Kysely to hand the requests over; what comes after `close` is refused.
  await new Promise(setImmediate);
  await Promise.all([store.close(), store.close()]);
  const [first, second, ...rest] = await settled;
  expect(first).toMatchObject({ status: 'rejected', reason: UNAVAILABLE });
  expect(second).toMatchObject({ status: 'rejected', reason: UNAVAILABLE });
  expect(rest.every(({ status }) => status === 'fulfilled')).toBe(true);
  await expect(addAgent(db, 'late')).rejects.toMatchObject(UNAVAILABLE);
  await expect(db.transaction().execute((trx) => addAgent(trx, 'late'))).rejects.toMatchObject(UNAVAILABLE);

  await using again = await openSqlite({ path: test.path, clock: test.clock });
  expect(await agentNames(new Kysely({ dialect: again.dialect }))).toEqual(
    Array.from({ length: 20 }, (_, index) => `agent-${index}`),
  );
});

it('rejects everything, now and later, when its worker dies', async () => {
  await using directory = await TempDir.make();
  const path = directory.join('store.db');
  const worker = await startWorker(path);
  const client = new SqliteClient(worker, path);
  const clock = new FakeClock();
  const db = new Kysely<TestSchema>({ dialect: sqliteDialect({ client, clock, pauseMsMax: 1000 }) });
  await createTestTables(db);
  // Keeps the others waiting until it dies.
  const paused = Promise.withResolvers<void>();
  const holding = db.transaction().execute(async (trx) => {
    await addAgent(trx, 'undone');
    paused.resolve();
    await client.ended;
    await addAgent(trx, 'too late');
  });
  await paused.promise;
  const settled = Promise.allSettled([
    holding,
    addAgent(db, 'a'),
    agentNames(db),
    db.transaction().execute((trx) => addAgent(trx, 'b')),
  ]);
  await new Promise(setImmediate);
  await worker.terminate();
  for (const outcome of await settled) expect(outcome).toMatchObject({ status: 'rejected', reason: UNAVAILABLE });
  await client.ended;
  await expect(addAgent(db, 'late')).rejects.toMatchObject(UNAVAILABLE);
  await client.close();
  expect(clock.pending).toBe(0);
});

it('refuses one request more than its bound, and takes the next when there is room', async () => {
  await using test = await openTestStore();
  const { db } = test;
  const paused = Promise.withResolvers<void>();
  const resume = Promise.withResolvers<void>();
  const holding = db.transaction().execute(async () => {
    paused.resolve();
    await resume.promise;
  });
  await paused.promise;
  const reads = Array.from({ length: LIMITS.storeRequestsMax + 5 }, () => sql`select 1`.execute(db));
  const settled = Promise.allSettled(reads);
  await new Promise(setImmediate);
  resume.resolve();
  await holding;
  const refused = (await settled).filter(({ status }) => status === 'rejected');
  // The begin of the open transaction may still be counted.
  expect(refused.length).toBeGreaterThanOrEqual(5);
  expect(refused.length).toBeLessThanOrEqual(6);
  expect(refused[0]).toMatchObject({ reason: { ...UNAVAILABLE, message: expect.stringContaining('waiting') } });
  await addAgent(db, 'there is room');
});

import { LIMITS } from '@drawbridge/protocol';
import { expect, it } from 'vitest';
import { isUniqueViolation } from '../statement-error.ts';
import { addAgent, agentNames, openTestStore } from './store-fixture.ts';

it('shows a transaction its own writes, and nobody else half of them', async () => {
  await using test = await openTestStore();
  const paused = Promise.withResolvers<void>();
  const resume = Promise.withResolvers<void>();
  const transaction = test.db.transaction().execute(async (trx) => {
    await addAgent(trx, 'first');
    expect(await agentNames(trx)).toEqual(['first']);
    paused.resolve();
    await resume.promise;
    await addAgent(trx, 'second');
  });
  await paused.promise;
  const outside = agentNames(test.db);
  const lateTransaction = test.db.transaction().execute((trx) => agentNames(trx));
  const late = addAgent(test.db, 'third');
  resume.resolve();
  expect(await outside).toEqual(['first', 'second']);
  expect(await lateTransaction).toEqual(['first', 'second']);
  await Promise.all([transaction, late]);
  expect(await agentNames(test.db)).toEqual(['first', 'second', 'third']);
});

it('goes on after a statement that failed, when the caller does', async () => {
  await using test = await openTestStore();
  await test.db.transaction().execute(async (trx) => {
    await addAgent(trx, 'a');
    await expect(addAgent(trx, 'a')).rejects.toSatisfy(isUniqueViolation);
    await addAgent(trx, 'b');
  });
  expect(await agentNames(test.db)).toEqual(['a', 'b']);
});

it('lets one of two transactions win a race for a row', async () => {
  await using test = await openTestStore();
  await addAgent(test.db, 'prize');
  const claim = () =>
    test.db.transaction().execute(async (trx) => {
      const row = await trx
        .selectFrom('agents')
        .select('enabled')
        .where('name', '=', 'prize')
        .executeTakeFirstOrThrow();
      if (row.enabled === 0) return false;
      await trx.updateTable('agents').set({ enabled: false }).execute();
      return true;
    });
  const claims = await Promise.all(Array.from({ length: 20 }, claim));
  expect(claims.filter(Boolean)).toHaveLength(1);
});

it('undoes a transaction whose caller hangs, and lets the others go on', async () => {
  await using test = await openTestStore();
  const { clock, db } = test;
  const paused = Promise.withResolvers<void>();
  const resume = Promise.withResolvers<void>();
  const hanging = db.transaction().execute(async (trx) => {
    await addAgent(trx, 'undone');
    paused.resolve();
    await resume.promise;
    await addAgent(trx, 'too late');
  });
  await paused.promise;
  const neighbour = addAgent(db, 'neighbour');
  await clock.advance(LIMITS.storeTransactionPauseMsMax);
  await neighbour;
  expect(await agentNames(db)).toEqual(['neighbour']);
  resume.resolve();
  await expect(hanging).rejects.toMatchObject({ code: 'timed_out' });
  expect(await agentNames(db)).toEqual(['neighbour']);
  expect(clock.pending).toBe(0);
});

it('refuses the commit of a transaction that took too long', async () => {
  await using test = await openTestStore();
  const late = test.db.transaction().execute(async (trx) => {
    await addAgent(trx, 'undone');
    await test.clock.advance(LIMITS.storeTransactionPauseMsMax);
  });
  await expect(late).rejects.toMatchObject({ code: 'timed_out' });
  expect(await agentNames(test.db)).toEqual([]);
});

it('counts all pauses of a transaction together', async () => {
  await using test = await openTestStore();
  const { clock, db } = test;
  const slow = db.transaction().execute(async (trx) => {
    await addAgent(trx, 'a');
    await clock.advance(LIMITS.storeTransactionPauseMsMax - 1);
    await addAgent(trx, 'b');
    await clock.advance(1);
    await addAgent(trx, 'c');
  });
  await expect(slow).rejects.toMatchObject({ code: 'timed_out' });
  expect(await agentNames(db)).toEqual([]);
});

it('starts no count before its turn has come, and leaves no timer', async () => {
  await using test = await openTestStore();
  const { clock, db } = test;
  const paused = Promise.withResolvers<void>();
  const resume = Promise.withResolvers<void>();
  const first = db.transaction().execute(async (trx) => {
    await addAgent(trx, 'first');
    paused.resolve();
    await resume.promise;
  });
  await paused.promise;
  const second = db.transaction().execute((trx) => addAgent(trx, 'second'));
  // Only the first is counted.
  expect(clock.pending).toBe(1);
  await clock.advance(LIMITS.storeTransactionPauseMsMax - 1);
  resume.resolve();
  await Promise.all([first, second]);
  expect(clock.pending).toBe(0);
  expect(await agentNames(db)).toEqual(['first', 'second']);
});

it('refuses statements of a transaction that has ended', async () => {
  await using test = await openTestStore();
  const trx = await test.db.transaction().execute((transaction) => Promise.resolve(transaction));
  await expect(addAgent(trx, 'a')).rejects.toThrow('Transaction is already committed');
  expect(await agentNames(test.db)).toEqual([]);
});

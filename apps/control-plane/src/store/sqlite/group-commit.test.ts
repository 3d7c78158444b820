import { LIMITS } from '@drawbridge/protocol';
import { expect, it } from 'vitest';
import { addAgent, agentNames, openTestStore } from './store-fixture.ts';

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);

it('commits concurrent statements together', async () => {
  await using test = await openTestStore();
  const before = test.store.stats().commits;
  await Promise.all(numbers(100).map((number) => addAgent(test.db, `agent-${number}`)));
  expect(test.store.stats().commits - before).toBe(1);
  expect(await agentNames(test.db)).toHaveLength(100);
});

it('commits concurrent interactive transactions together', async () => {
  await using test = await openTestStore();
  const before = test.store.stats();
  await Promise.all(
    numbers(50).map((number) =>
      test.db.transaction().execute(async (trx) => {
        const { count } = await trx
          .selectFrom('agents')
          .select((eb) => eb.fn.countAll<number>().as('count'))
          .executeTakeFirstOrThrow();
        await trx
          .insertInto('agents')
          .values({ name: `agent-${number}-after-${count}` })
          .execute();
      }),
    ),
  );
  const after = test.store.stats();
  expect(after.commits - before.commits).toBe(1);
  expect(after.transactionsReleased - before.transactionsReleased).toBe(50);
  // Each saw all of those before it, although none of them was durable yet.
  expect(await agentNames(test.db)).toEqual(numbers(50).map((number) => `agent-${number}-after-${number}`));
});

it('commits one by one what is asked one by one', async () => {
  await using test = await openTestStore();
  const before = test.store.stats().commits;
  for (const number of numbers(5)) await addAgent(test.db, `agent-${number}`);
  expect(test.store.stats().commits - before).toBe(5);
});

it('ends a batch at its bound', async () => {
  await using test = await openTestStore();
  const before = test.store.stats().commits;
  const count = 2 * LIMITS.storeBatchStatementsMax + 1;
  await Promise.all(numbers(count).map((number) => addAgent(test.db, `agent-${number}`)));
  expect(test.store.stats().commits - before).toBe(3);
});

it('pays no commit for reads', async () => {
  await using test = await openTestStore();
  const before = test.store.stats().commits;
  await Promise.all([
    agentNames(test.db),
    agentNames(test.db),
    test.db.transaction().execute((trx) => agentNames(trx)),
  ]);
  expect(test.store.stats().commits).toBe(before);
});

it('reads what was written before in the same turn', async () => {
  await using test = await openTestStore();
  const [, names] = await Promise.all([addAgent(test.db, 'a'), agentNames(test.db)]);
  expect(names).toEqual(['a']);
});

it('undoes a transaction without harming its neighbours in the batch', async () => {
  await using test = await openTestStore();
  const before = test.store.stats();
  const outcomes = await Promise.allSettled([
    addAgent(test.db, 'before'),
    test.db.transaction().execute(async (trx) => {
      await addAgent(trx, 'undone');
      throw new Error('changed my mind');
    }),
    addAgent(test.db, 'before'),
    test.db.transaction().execute((trx) => addAgent(trx, 'after')),
  ]);
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled']);
  expect(await agentNames(test.db)).toEqual(['before', 'after']);
  const after = test.store.stats();
  expect(after.commits - before.commits).toBe(1);
  expect(after.transactionsRolledBack - before.transactionsRolledBack).toBe(1);
});

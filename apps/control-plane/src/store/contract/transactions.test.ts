import { expect, it } from 'vitest';
import { addAgent, agentNames } from '../sqlite/store-fixture.ts';
import { isUniqueViolation } from '../statement-error.ts';
import { onEachEngine } from '../test-database-fixture.ts';
import { openPlainStore } from './open-store-fixture.ts';

onEachEngine((engine) => {
  it('keeps a transaction that ends well', async () => {
    await using test = await openPlainStore(engine);
    await test.db.transaction().execute(async (trx) => {
      await addAgent(trx, 'a');
      expect(await agentNames(trx)).toEqual(['a']);
    });
    expect(await agentNames(test.db)).toEqual(['a']);
  });

  it('undoes a transaction whose caller throws, and gives the error back', async () => {
    await using test = await openPlainStore(engine);
    const reason = new Error('changed my mind');
    const transaction = test.db.transaction().execute(async (trx) => {
      await addAgent(trx, 'undone');
      throw reason;
    });
    await expect(transaction).rejects.toBe(reason);
    expect(await agentNames(test.db)).toEqual([]);
  });

  it('undoes a transaction with a statement that failed', async () => {
    await using test = await openPlainStore(engine);
    await addAgent(test.db, 'a');
    const transaction = test.db.transaction().execute(async (trx) => {
      await addAgent(trx, 'undone');
      await addAgent(trx, 'a');
    });
    await expect(transaction).rejects.toSatisfy(isUniqueViolation);
    expect(await agentNames(test.db)).toEqual(['a']);
  });

  it('shows nobody else what was not committed', async () => {
    await using test = await openPlainStore(engine);
    const half = Promise.withResolvers<void>();
    const resume = Promise.withResolvers<void>();
    const transaction = test.db.transaction().execute(async (trx) => {
      await addAgent(trx, 'first');
      half.resolve();
      await resume.promise;
      await addAgent(trx, 'second');
    });
    await half.promise;
    const outside = agentNames(test.db);
    resume.resolve();
    expect([[], ['first', 'second']]).toContainEqual(await outside);
    await transaction;
    expect(await agentNames(test.db)).toEqual(['first', 'second']);
  });

  it('gives one winner among a hundred conditional updates', async () => {
    await using test = await openPlainStore(engine);
    await addAgent(test.db, 'prize');
    const claims = await Promise.all(
      Array.from({ length: 100 }, (_, index) => {
        const claim = (db: typeof test.db) =>
          db.updateTable('agents').set({ enabled: false }).where('enabled', '=', 1).executeTakeFirst();
        return index % 2 === 0 ? claim(test.db) : test.db.transaction().execute(claim);
      }),
    );
    expect(claims.filter(({ numUpdatedRows }) => numUpdatedRows === 1n)).toHaveLength(1);
  });

  it('loses no increment of a hundred', async () => {
    await using test = await openPlainStore(engine);
    await addAgent(test.db, 'counter');
    await Promise.all(
      Array.from({ length: 100 }, () =>
        test.db
          .updateTable('agents')
          .set((row) => ({ enabled: row('enabled', '+', 1) as never }))
          .execute(),
      ),
    );
    const { enabled } = await test.db.selectFrom('agents').select('enabled').executeTakeFirstOrThrow();
    expect(enabled).toBe(101);
  });

  it('refuses statements of a transaction that has ended', async () => {
    await using test = await openPlainStore(engine);
    const trx = await test.db.transaction().execute((transaction) => Promise.resolve(transaction));
    await expect(addAgent(trx, 'a')).rejects.toThrow('Transaction is already committed');
    expect(await agentNames(test.db)).toEqual([]);
  });

  it('finishes what was asked when it closes, undoes what was open, and takes nothing more', async () => {
    await using test = await openPlainStore(engine);
    const half = Promise.withResolvers<void>();
    const open = test.db.transaction().execute(async (trx) => {
      await addAgent(trx, 'undone');
      half.resolve();
      await test.store.ended;
    });
    await half.promise;
    const outcome = Promise.allSettled([open]);
    await Promise.all([test.store.close(), test.store.close()]);
    expect(await outcome).toMatchObject([{ status: 'rejected', reason: { code: 'store_unavailable' } }]);
    await expect(addAgent(test.db, 'late')).rejects.toMatchObject({ code: 'store_unavailable' });
    await expect(test.db.transaction().execute((trx) => addAgent(trx, 'late'))).rejects.toMatchObject({
      code: 'store_unavailable',
    });
  });

  it('counts what it does', async () => {
    await using test = await openPlainStore(engine);
    const before = test.store.stats();
    await addAgent(test.db, 'a');
    await test.db.transaction().execute((trx) => addAgent(trx, 'b'));
    await agentNames(test.db);
    const after = test.store.stats();
    expect(after.commits - before.commits).toBe(2);
    expect(after.statements - before.statements).toBeGreaterThanOrEqual(3);
    expect(after).toMatchObject({ failures: 0, waiting: 0 });
  });
});

import { execFileSync } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { FakeClock, requires, TempDir } from '@drawbridge/testkit';
import { Kysely } from 'kysely';
import { expect, it, type TestContext } from 'vitest';
import { openSqlite } from './open-sqlite.ts';
import { addAgent, agentNames, createTestTables, type TestSchema } from './store-fixture.ts';

const FILLER_BYTES = 512 * 1024;

/** A file system of 1 MiB, or a skip where this process may not mount one. */
function mountTiny(path: string, { skip }: TestContext): Disposable {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', path], { stdio: 'pipe' });
  } catch (error) {
    if (process.env['DRAWBRIDGE_REQUIRE'] === 'all') throw error;
    skip('needs the right to mount a tmpfs');
  }
  return { [Symbol.dispose]: () => void execFileSync('umount', [path]) };
}

it.runIf(requires('linux', 'root'))(
  'loses nothing it acknowledged to a full disk, and works again with room',
  async (context) => {
    await using directory = await TempDir.make();
    using _disk = mountTiny(directory.path, context);
    const filler = directory.join('filler');
    await writeFile(filler, Buffer.alloc(FILLER_BYTES));
    await using store = await openSqlite({ path: directory.join('store.db'), clock: new FakeClock() });
    const db = new Kysely<TestSchema>({ dialect: store.dialect });
    await createTestTables(db);

    const kept: string[] = [];
    let refused: PromiseSettledResult<string>[] = [];
    for (let round = 0; refused.length === 0; round += 1) {
      const outcomes = await Promise.allSettled([
        addBig(db, `lone-${round}`),
        db.transaction().execute((trx) => addBig(trx, `transaction-${round}`)),
        addBig(db, `neighbour-${round}`),
      ]);
      kept.push(...outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : [])));
      refused = outcomes.filter(({ status }) => status === 'rejected');
    }
    // They shared a batch: all of it is refused.
    expect(refused).toHaveLength(3);
    for (const outcome of refused) expect(outcome).toMatchObject({ reason: { code: 'disk_full' } });
    expect(store.stats().commitsFailed).toBeGreaterThan(0);
    expect(kept.length).toBeGreaterThan(0);
    expect((await agentNames(db)).toSorted()).toEqual(kept.toSorted());

    // Full in the middle of a transaction.
    const large = db.transaction().execute(async (trx) => {
      await addAgent(trx, 'undone');
      for (let row = 0; ; row += 1) await addBig(trx, `large-${row}`);
    });
    await expect(large).rejects.toMatchObject({ code: 'disk_full' });
    expect((await agentNames(db)).toSorted()).toEqual(kept.toSorted());

    await rm(filler);
    await db.transaction().execute((trx) => addBig(trx, 'there is room'));
    expect((await agentNames(db)).toSorted()).toEqual([...kept, 'there is room'].toSorted());
  },
);

async function addBig(db: Kysely<TestSchema>, name: string): Promise<string> {
  await db
    .insertInto('agents')
    .values({ name, key: new Uint8Array(20_000) })
    .execute();
  return name;
}

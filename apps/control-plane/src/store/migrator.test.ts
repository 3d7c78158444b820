import { FakeClock } from '@drawbridge/testkit';
import { Kysely, sql } from 'kysely';
import { expect, it } from 'vitest';
import { type Migration, migrate } from './migrator.ts';
import { openTestStore } from './sqlite/store-fixture.ts';

const clock = new FakeClock();

const makesTable = (name: string, table: string): Migration => ({
  name,
  async up(db) {
    await db.schema.createTable(table).addColumn('id', 'text').execute();
  },
});

const FIRST = makesTable('0001-first', 'first');
const SECOND = makesTable('0002-second', 'second');

const fails: Migration = {
  name: '0002-second',
  async up(db) {
    await SECOND.up(db);
    await sql`insert into nowhere values (1)`.execute(db);
  },
};

async function tables(db: Kysely<never>): Promise<string[]> {
  const known = new Set(['agents', 'sessions', 'schema_migrations']);
  return (await db.introspection.getTables()).map(({ name }) => name).filter((name) => !known.has(name));
}

async function openUntyped() {
  const test = await openTestStore();
  return {
    test,
    db: new Kysely<never>({ dialect: test.store.dialect }),
    [Symbol.asyncDispose]: () => test[Symbol.asyncDispose](),
  };
}

it('runs what is missing, in order, and records it', async () => {
  await using opened = await openUntyped();
  const { db } = opened;
  expect(await migrate(db, [FIRST], clock)).toEqual(['0001-first']);
  expect(await migrate(db, [FIRST, SECOND], clock)).toEqual(['0002-second']);
  expect(await migrate(db, [FIRST, SECOND], clock)).toEqual([]);
  expect(await tables(db)).toEqual(['first', 'second']);
  const { rows } = await sql`select * from schema_migrations order by name`.execute(db);
  const applied_at = new Date(clock.now()).toISOString();
  expect(rows).toEqual([
    { name: '0001-first', applied_at },
    { name: '0002-second', applied_at },
  ]);
});

it('leaves nothing of a migration that fails, and runs it again the next time', async () => {
  await using opened = await openUntyped();
  const { db } = opened;
  await expect(migrate(db, [FIRST, fails], clock)).rejects.toThrow('migration 0002-second failed');
  expect(await tables(db)).toEqual(['first']);
  expect(await migrate(db, [FIRST, SECOND], clock)).toEqual(['0002-second']);
  expect(await tables(db)).toEqual(['first', 'second']);
});

it('refuses a database that is newer than the program, and leaves it alone', async () => {
  await using opened = await openUntyped();
  const { db } = opened;
  await migrate(db, [FIRST, SECOND], clock);
  await expect(migrate(db, [FIRST], clock)).rejects.toMatchObject({
    code: 'unsupported',
    message: expect.stringContaining('newer than this program: it has migration 0002-second'),
  });
  expect(await tables(db)).toEqual(['first', 'second']);
});

it('refuses a database that has missed a migration', async () => {
  await using opened = await openUntyped();
  await migrate(opened.db, [SECOND], clock);
  await expect(migrate(opened.db, [FIRST, SECOND], clock)).rejects.toThrow('later migrations, but not 0001-first');
});

it('refuses migrations that are out of order', async () => {
  await using opened = await openUntyped();
  await expect(migrate(opened.db, [SECOND, FIRST], clock)).rejects.toThrow('migration 0001-first is out of order');
});

it('runs each migration once when several start at once', async () => {
  await using opened = await openUntyped();
  const { db } = opened;
  const runs = await Promise.all([1, 2, 3].map(() => migrate(db, [FIRST, SECOND], clock)));
  expect(runs.flat().toSorted()).toEqual(['0001-first', '0002-second']);
});

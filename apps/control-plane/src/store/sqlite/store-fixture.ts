import { FakeClock, TempDir } from '@drawbridge/testkit';
import { type ColumnType, type Generated, Kysely } from 'kysely';
import { engineOf } from '../engine.ts';
import { bytesType } from '../migrations/column-types.ts';
import { openSqlite, type SqliteStore } from './open-sqlite.ts';

/** The tables of the store's own tests. */
export interface TestSchema {
  readonly agents: {
    readonly id: Generated<number>;
    readonly name: string;
    readonly enabled: ColumnType<number, boolean | undefined, boolean>;
    readonly key: Uint8Array | null;
  };
  readonly sessions: { readonly id: Generated<number>; readonly agent_id: number };
}

/** A real store in a temporary directory; all of it is gone at the end of the owner's block. */
export interface TestStore extends AsyncDisposable {
  readonly directory: TempDir;
  readonly path: string;
  readonly clock: FakeClock;
  readonly store: SqliteStore;
  readonly db: Kysely<TestSchema>;
}

/** Opens a new store and makes the tables. */
export async function openTestStore(): Promise<TestStore> {
  const directory = await TempDir.make();
  const path = directory.join('store.db');
  const clock = new FakeClock();
  const store = await openSqlite({ path, clock });
  const db = new Kysely<TestSchema>({ dialect: store.dialect });
  await createTestTables(db);
  return {
    directory,
    path,
    clock,
    store,
    db,
    async [Symbol.asyncDispose]() {
      await store.close();
      await directory[Symbol.asyncDispose]();
    },
  };
}

/** Makes the tables of `TestSchema`, on either engine. */
export async function createTestTables(typed: Kysely<TestSchema>): Promise<void> {
  const db = typed as unknown as Kysely<unknown>;
  await db.schema
    .createTable('agents')
    .addColumn('id', idType(db), (column) => column.primaryKey())
    .addColumn('name', 'text', (column) => column.notNull().unique())
    .addColumn('enabled', 'integer', (column) => column.notNull().defaultTo(1))
    .addColumn('key', bytesType(db))
    .execute();
  await db.schema
    .createTable('sessions')
    .addColumn('id', idType(db), (column) => column.primaryKey())
    .addColumn('agent_id', 'integer', (column) => column.notNull().references('agents.id'))
    .execute();
}

function idType(db: Kysely<unknown>): 'integer' | 'serial' {
  return engineOf(db) === 'postgres' ? 'serial' : 'integer';
}

/** The names of all agents, in the order in which they came. */
export async function agentNames(db: Kysely<TestSchema>): Promise<string[]> {
  const rows = await db.selectFrom('agents').select('name').orderBy('id').execute();
  return rows.map(({ name }) => name);
}

/** Adds one agent, as one statement outside of any transaction. */
export async function addAgent(db: Kysely<TestSchema>, name: string): Promise<void> {
  await db.insertInto('agents').values({ name }).execute();
}

import type { Clock } from '@drawbridge/link';
import { ControlError } from '@drawbridge/protocol';
import { type Kysely, sql } from 'kysely';
import { engineOf } from './engine.ts';

/** One step of the schema, for every engine. */
export interface Migration {
  /** Sorts after the names before it, and never changes: `0001-agents`. */
  readonly name: string;
  up(db: Kysely<unknown>): Promise<void>;
}

/** Where the names of the migrations that were run are kept. */
export const MIGRATION_TABLE = 'schema_migrations';

/**
 * Brings the schema up to date: runs what is missing of `migrations`, in order, each in one transaction with its record.
 * Of several programs that start at once, one runs each. Resolves with the names that were run. Rejects with `unsupported`
 * when the database is newer than this program.
 */
export async function migrate<Schema>(
  typedDb: Kysely<Schema>,
  migrations: readonly Migration[],
  clock: Pick<Clock, 'now'>,
): Promise<string[]> {
  // A migration is older than today's schema and sees none of its types. Kysely has no word for that.
  const db = typedDb as unknown as Kysely<unknown>;
  assertOrdered(migrations);
  const done = await db.transaction().execute(async (transaction) => {
    await waitForTurn(transaction);
    await makeTable(transaction);
    return applied(transaction);
  });
  assertKnown(done, migrations);
  const run: string[] = [];
  for (const migration of migrations.slice(done.length)) {
    if (await apply(db, migration, clock)) run.push(migration.name);
  }
  return run;
}

/** Runs `migrations` in the caller's transaction, which has the database for itself: for a restore. */
export async function migrateWithin<Schema>(
  typedTransaction: Kysely<Schema>,
  migrations: readonly Migration[],
  clock: Pick<Clock, 'now'>,
): Promise<void> {
  const transaction = typedTransaction as unknown as Kysely<unknown>;
  await makeTable(transaction);
  for (const migration of migrations) await runOne(transaction, migration, new Date(clock.now()).toISOString());
}

/** The names of the migrations that were run, in order; none in a database without a schema. */
export async function migrationsRun<Schema>(typedDb: Kysely<Schema>): Promise<string[]> {
  const db = typedDb as unknown as Kysely<unknown>;
  const { rows } = await sql`${
    engineOf(db) === 'sqlite'
      ? sql`select 1 from sqlite_master where type = 'table' and name = ${MIGRATION_TABLE}`
      : sql`select 1 from information_schema.tables where table_schema = current_schema() and table_name = ${MIGRATION_TABLE}`
  }`.execute(db);
  return rows.length === 0 ? [] : applied(db);
}

/** The names of those `migrations` that the schema lacks. Rejects when the store does not answer, or has no schema at all. */
export async function pendingMigrations<Schema>(
  db: Kysely<Schema>,
  migrations: readonly Migration[],
): Promise<string[]> {
  const done = await applied(db as unknown as Kysely<unknown>);
  return migrations.map(({ name }) => name).filter((name) => !done.includes(name));
}

/** False when another program has run it meanwhile. */
async function apply(db: Kysely<unknown>, migration: Migration, clock: Pick<Clock, 'now'>): Promise<boolean> {
  const { name } = migration;
  const appliedAt = new Date(clock.now()).toISOString();
  try {
    return await db.transaction().execute(async (transaction) => {
      await waitForTurn(transaction);
      if ((await applied(transaction)).includes(name)) return false;
      await runOne(transaction, migration, appliedAt);
      return true;
    });
  } catch (error) {
    throw new Error(`migration ${name} failed`, { cause: error });
  }
}

async function runOne(transaction: Kysely<unknown>, migration: Migration, appliedAt: string): Promise<void> {
  const names = sql`insert into ${sql.table(MIGRATION_TABLE)} (name, applied_at)`;
  await sql`${names} values (${migration.name}, ${appliedAt})`.execute(transaction);
  await migration.up(transaction);
}

/**
 * On SQLite a transaction has its turn by being one; PostgreSQL would run the same migration twice, side by side. A migration may
 * take as long as its tables are large: what bounds other statements does not bound it.
 */
async function waitForTurn(transaction: Kysely<unknown>): Promise<void> {
  if (engineOf(transaction) === 'sqlite') return;
  await sql`set local statement_timeout = 0`.execute(transaction);
  await sql`select pg_advisory_xact_lock(hashtextextended('drawbridge migrations of ' || current_schema(), 0))`.execute(
    transaction,
  );
}

async function makeTable(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable(MIGRATION_TABLE)
    .ifNotExists()
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('applied_at', 'text', (column) => column.notNull())
    .execute();
}

async function applied(db: Kysely<unknown>): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`select name from ${sql.table(MIGRATION_TABLE)}`.execute(db);
  return rows.map(({ name }) => name).toSorted();
}

function assertOrdered(migrations: readonly Migration[]): void {
  migrations.reduce((before, { name }) => {
    if (name <= before) throw new Error(`migration ${name} is out of order, after ${before}`);
    return name;
  }, '');
}

/** What was run must be the beginning of what this program knows. Throws `unsupported` for a database that is newer. */
export function assertKnown(done: readonly string[], migrations: readonly Migration[]): void {
  const names = migrations.map(({ name }) => name);
  const unknown = done.find((name) => !names.includes(name));
  if (unknown !== undefined) {
    const message = `the database is newer than this program: it has migration ${unknown}; run the version that made it`;
    throw new ControlError('unsupported', message);
  }
  const missed = names.find((name, index) => index < done.length && !done.includes(name));
  if (missed !== undefined) {
    throw new ControlError('unsupported', `the database has later migrations, but not ${missed}`);
  }
}

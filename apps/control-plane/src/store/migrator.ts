import type { Clock } from '@drawbridge/link';
import { ControlError } from '@drawbridge/protocol';
import { type Kysely, sql } from 'kysely';

/** One step of the schema, for every engine. */
export interface Migration {
  /** Sorts after the names before it, and never changes: `0001-agents`. */
  readonly name: string;
  up(db: Kysely<unknown>): Promise<void>;
}

/** Where the names of the migrations that were run are kept. */
const TABLE = 'schema_migrations';

/**
 * Brings the schema up to date: runs what is missing of `migrations`, in order, each in one transaction with its record.
 * Resolves with the names that were run. Rejects with `unsupported` when the database is newer than this program.
 */
export async function migrate<Schema>(
  typedDb: Kysely<Schema>,
  migrations: readonly Migration[],
  clock: Pick<Clock, 'now'>,
): Promise<string[]> {
  // A migration is older than today's schema and sees none of its types. Kysely has no word for that.
  const db = typedDb as unknown as Kysely<unknown>;
  assertOrdered(migrations);
  await db.schema
    .createTable(TABLE)
    .ifNotExists()
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('applied_at', 'text', (column) => column.notNull())
    .execute();
  const done = await applied(db);
  assertKnown(done, migrations);
  const run: string[] = [];
  for (const migration of migrations.slice(done.length)) {
    if (await apply(db, migration, clock)) run.push(migration.name);
  }
  return run;
}

/** False when another node has run it meanwhile. */
async function apply(db: Kysely<unknown>, migration: Migration, clock: Pick<Clock, 'now'>): Promise<boolean> {
  const appliedAt = new Date(clock.now()).toISOString();
  try {
    await db.transaction().execute(async (transaction) => {
      // The record comes first: its key makes a second node wait, and then fail, before it touches the schema.
      await sql`insert into ${sql.table(TABLE)} (name, applied_at) values (${migration.name}, ${appliedAt})`.execute(
        transaction,
      );
      await migration.up(transaction);
    });
    return true;
  } catch (error) {
    if ((await applied(db)).includes(migration.name)) return false;
    throw new Error(`migration ${migration.name} failed`, { cause: error });
  }
}

async function applied(db: Kysely<unknown>): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`select name from ${sql.table(TABLE)} order by name`.execute(db);
  return rows.map(({ name }) => name);
}

function assertOrdered(migrations: readonly Migration[]): void {
  migrations.reduce((before, { name }) => {
    if (name <= before) throw new Error(`migration ${name} is out of order, after ${before}`);
    return name;
  }, '');
}

/** What was run must be the beginning of what this program knows. */
function assertKnown(done: readonly string[], migrations: readonly Migration[]): void {
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

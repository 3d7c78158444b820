import { type Kysely, sql } from 'kysely';
import { BACKUP_TABLE_NAMES, BACKUP_TABLES, LATER_COLUMNS } from './backup-tables.ts';
import type { SqlValue } from './bind.ts';
import { engineOf } from './engine.ts';
import { MIGRATION_TABLE } from './migrator.ts';
import type { Schema } from './schema.ts';
import type { Db } from './store.ts';

/** A row of any table. */
export type AnyRow = Readonly<Record<string, SqlValue>>;

/** Rows of one page, or of one statement: even long ones fit into memory. */
const ROWS_PER_PAGE = 100;
/** Both engines take as many values in one statement. */
const VALUES_PER_STATEMENT_MAX = 32_000;

/** All tables alike, as rows of names and values. */
export class BackupRepository {
  readonly #db: Kysely<unknown>;

  constructor(db: Db) {
    // Tables are named by text here: of their types nothing is known.
    this.#db = db as unknown as Kysely<unknown>;
  }

  /** Every row of a table, in the order of its key, page by page. */
  async *pages(table: keyof Schema): AsyncGenerator<readonly AnyRow[]> {
    const names: readonly string[] = BACKUP_TABLES[table];
    const key = sql.join(names.map((name) => sql.ref(name)));
    let after = sql`true`;
    for (;;) {
      const { rows } = await sql<AnyRow>`select * from ${sql.table(table)} where ${after}
        order by ${key} limit ${sql.lit(ROWS_PER_PAGE)}`.execute(this.#db);
      const last = rows.at(-1);
      if (last === undefined) return;
      yield rows;
      if (rows.length < ROWS_PER_PAGE) return;
      after = sql`(${key}) > (${sql.join(names.map((name) => last[name]))})`;
    }
  }

  /** The columns of a table as it is now; none for a table that is not there. */
  async columns(table: string): Promise<readonly string[]> {
    const query =
      engineOf(this.#db) === 'sqlite'
        ? sql<{ name: string }>`select name from pragma_table_info(${table})`
        : sql<{ name: string }>`select column_name as name from information_schema.columns
            where table_schema = current_schema() and table_name = ${table}`;
    const { rows } = await query.execute(this.#db);
    return rows.map(({ name }) => name);
  }

  /** True when no table holds anything but what an empty store begins with. */
  async isEmpty(): Promise<boolean> {
    for (const table of BACKUP_TABLE_NAMES) {
      if (table === 'audit_head' || (await this.columns(table)).length === 0) continue;
      const { rows } = await sql`select 1 from ${sql.table(table)} limit 1`.execute(this.#db);
      if (rows.length > 0) return false;
    }
    return true;
  }

  /** Removes every table of ours with all it holds, whatever migrations were run; nothing else that is in the database. */
  async dropTables(): Promise<void> {
    await sql`drop view if exists docker_agents`.execute(this.#db);
    for (const [table, { column }] of Object.entries(LATER_COLUMNS)) {
      if (!(await this.columns(table)).includes(column)) continue;
      await sql`update ${sql.table(table)} set ${sql.ref(column)} = null`.execute(this.#db);
    }
    const cascade = engineOf(this.#db) === 'postgres' ? sql` cascade` : sql``;
    for (const table of [...BACKUP_TABLE_NAMES.toReversed(), MIGRATION_TABLE]) {
      await sql`drop table if exists ${sql.table(table)}${cascade}`.execute(this.#db);
    }
  }

  /** Removes all rows: those with which a new table begins. */
  async clear(): Promise<void> {
    for (const table of BACKUP_TABLE_NAMES.toReversed()) {
      if ((await this.columns(table)).length > 0) await sql`delete from ${sql.table(table)}`.execute(this.#db);
    }
  }

  /** Adds rows that all have these columns. */
  async insert(table: string, columns: readonly string[], rows: readonly AnyRow[]): Promise<void> {
    const perStatement = Math.max(1, Math.min(ROWS_PER_PAGE, Math.floor(VALUES_PER_STATEMENT_MAX / columns.length)));
    for (let from = 0; from < rows.length; from += perStatement) {
      const part = rows.slice(from, from + perStatement);
      const values = part.map((row) => sql`(${sql.join(columns.map((name) => row[name] ?? null))})`);
      const names = sql.join(columns.map((name) => sql.ref(name)));
      await sql`insert into ${sql.table(table)} (${names}) values ${sql.join(values)}`.execute(this.#db);
    }
  }

  /** Sets one column of one row. */
  async fillIn(table: string, key: string, id: SqlValue, column: string, value: SqlValue): Promise<void> {
    await sql`update ${sql.table(table)} set ${sql.ref(column)} = ${value} where ${sql.ref(key)} = ${id}`.execute(
      this.#db,
    );
  }
}

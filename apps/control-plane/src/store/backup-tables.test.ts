import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import { expect, it } from 'vitest';
import { BACKUP_TABLE_NAMES, BACKUP_TABLES, LATER_COLUMNS } from './backup-tables.ts';
import { openEmptyStore } from './contract/open-store-fixture.ts';
import { MIGRATIONS } from './migrations/index.ts';
import { MIGRATION_TABLE, migrate } from './migrator.ts';
import type { Schema } from './schema.ts';

async function openMigrated() {
  const opened = await openEmptyStore<Schema>('sqlite');
  await migrate(opened.db, MIGRATIONS, opened.clock);
  return opened;
}

async function tablesOf(db: Kysely<Schema>): Promise<string[]> {
  const query = sql<{ name: string }>`select name from sqlite_master where type = 'table' and name not like 'sqlite_%'`;
  return (await query.execute(db)).rows.map(({ name }) => name);
}

it('lists every table of the database', async () => {
  await using opened = await openMigrated();
  expect((await tablesOf(opened.db)).toSorted()).toEqual([...BACKUP_TABLE_NAMES, MIGRATION_TABLE].toSorted());
});

it('knows the primary key of each', async () => {
  await using opened = await openMigrated();
  for (const table of BACKUP_TABLE_NAMES) {
    const query = sql<{ name: string }>`select name from pragma_table_info(${table}) where pk > 0 order by pk`;
    const { rows } = await query.execute(opened.db);
    expect({ table, key: rows.map(({ name }) => name) }).toEqual({ table, key: [...BACKUP_TABLES[table]] });
  }
});

it('puts each table after those it refers to, but for columns that are filled in later', async () => {
  await using opened = await openMigrated();
  let references = 0;
  for (const [index, table] of BACKUP_TABLE_NAMES.entries()) {
    const query = sql<{ table: string; from: string }>`select "table", "from" from pragma_foreign_key_list(${table})`;
    for (const { table: target, from } of (await query.execute(opened.db)).rows) {
      references += 1;
      const isBefore = BACKUP_TABLE_NAMES.findIndex((name) => name === target) < index;
      const isLater = LATER_COLUMNS[table]?.column === from;
      expect({ table, from, isBefore, isLater }).toEqual({ table, from, isBefore: !isLater, isLater });
    }
  }
  expect(references).toBeGreaterThan(8);
});

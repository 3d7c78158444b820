import { DatabaseSync } from 'node:sqlite';
import { expect, it, onTestFinished } from 'vitest';
import { StatementCache } from './statement-cache.ts';

function openCache(capacity: number): { cache: StatementCache; prepared: string[] } {
  const database = new DatabaseSync(':memory:');
  onTestFinished(() => database.close());
  const prepared: string[] = [];
  const prepare = database.prepare.bind(database);
  database.prepare = (sql) => {
    prepared.push(sql);
    return prepare(sql);
  };
  return { cache: new StatementCache(database, capacity), prepared };
}

const select = (value: number) => ({ sql: `select ${value} as value`, parameters: [], reads: true });

it('prepares again only what was used least recently', () => {
  const { cache, prepared } = openCache(2);
  for (const value of [1, 2, 1, 3, 1, 2]) expect(cache.run(select(value)).rows).toEqual([[value]]);
  expect(prepared).toEqual(['select 1 as value', 'select 2 as value', 'select 3 as value', 'select 2 as value']);
  expect(cache.size).toBe(2);
});

it('tells rows from changes', () => {
  const { cache } = openCache(10);
  cache.run({ sql: 'create table t (v integer primary key)', parameters: [], reads: false });
  const insert = { sql: 'insert into t values (?), (?)', parameters: [7, 8], reads: false };
  expect(cache.run(insert)).toEqual({ rows: [], changes: 2, lastRowId: 8 });
  const remove = { sql: 'delete from t where v = ? returning v', parameters: [7], reads: false };
  expect(cache.run(remove)).toEqual({ rows: [[7]], columns: ['v'] });
});

it('names the columns a statement returns after the table got another one', () => {
  const { cache } = openCache(10);
  const all = { sql: 'select * from t', parameters: [], reads: true };
  const change = (sql: string) => cache.run({ sql, parameters: [], reads: false });
  change('create table t (v integer primary key)');
  change('insert into t values (7)');
  expect(cache.run(all)).toEqual({ rows: [[7]], columns: ['v'] });
  change('alter table t rename column v to w');
  expect(cache.run(all)).toEqual({ rows: [[7]], columns: ['w'] });
});

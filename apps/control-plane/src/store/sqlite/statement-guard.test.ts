import { expect, it } from 'vitest';
import { assertContained } from './statement-guard.ts';

it.each([
  'begin',
  ' COMMIT',
  'rollback to unit',
  'savepoint x',
  'release unit',
  'vacuum',
  "attach 'other.db' as other",
  'insert or rollback into t values (1)',
  'create table t (v text unique on conflict rollback)',
  "create trigger x before insert on t begin select raise(rollback, 'no'); end",
  'create table t (v integer references u deferrable initially deferred)',
  'pragma defer_foreign_keys = on',
  'pragma synchronous = off',
  'pragma main.journal_mode(delete)',
])('refuses %s', (sql) => {
  expect(() => assertContained(sql)).toThrow('refused');
});

it.each([
  'select * from "commits" where "release" = ?',
  'insert or ignore into t values (1)',
  'insert into t values (1) on conflict do nothing',
  'create trigger x before insert on t begin select 1; end',
  'pragma synchronous',
  'pragma table_info(t)',
])('lets %s pass', (sql) => {
  expect(() => assertContained(sql)).not.toThrow();
});

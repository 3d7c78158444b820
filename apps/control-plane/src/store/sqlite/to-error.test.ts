import { sql } from 'kysely';
import { expect, it } from 'vitest';
import { isUniqueViolation, StatementError } from '../statement-error.ts';
import { addAgent, openTestStore } from './store-fixture.ts';

it('tells which promise of the schema was broken', async () => {
  await using test = await openTestStore();
  const { db } = test;
  await addAgent(db, 'a');
  await expect(addAgent(db, 'a')).rejects.toMatchObject({ violation: 'unique' });
  const sameId = db.insertInto('agents').values({ id: 1, name: 'b' }).execute();
  await expect(sameId).rejects.toMatchObject({ violation: 'unique' });
  const orphan = db.insertInto('sessions').values({ agent_id: 7 }).execute();
  await expect(orphan).rejects.toMatchObject({ violation: 'foreign_key' });
  const nameless = sql`insert into agents (name) values (null)`.execute(db);
  await expect(nameless).rejects.toMatchObject({ violation: 'not_null' });
  await sql`create table numbers (number integer check (number > 0))`.execute(db);
  await expect(sql`insert into numbers values (0)`.execute(db)).rejects.toMatchObject({ violation: 'check' });
});

it('names the statement and no value', async () => {
  await using test = await openTestStore();
  await addAgent(test.db, 'hunter2');
  const error: unknown = await addAgent(test.db, 'hunter2').catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(StatementError);
  expect(JSON.stringify(error) + String(error)).not.toContain('hunter2');
  expect(error).toMatchObject({ sql: 'insert into "agents" ("name") values (?)' });
});

it('takes nothing else for a unique violation', async () => {
  await using test = await openTestStore();
  const error: unknown = await sql`select nonsense`.execute(test.db).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ name: 'StatementError', violation: undefined });
  expect(isUniqueViolation(error)).toBe(false);
  expect(isUniqueViolation(new Error('UNIQUE constraint failed'))).toBe(false);
});

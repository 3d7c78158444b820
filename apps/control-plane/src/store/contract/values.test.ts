import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import { expect, it } from 'vitest';
import { addAgent } from '../sqlite/store-fixture.ts';
import { isUniqueViolation, StatementError } from '../statement-error.ts';
import { onEachEngine } from '../test-database-fixture.ts';
import { openPlainStore } from './open-store-fixture.ts';

/** What a text may be made of that has gone wrong somewhere before. */
const TEXTS = ['', ' ', "it's", 'grüezi', '\u{1F600}', 'a\nb\r\n', '\\x41', '{"a":[1,null,"\\u0000"]}', '$1 ? %s'];

onEachEngine((engine) => {
  it('gives back the bytes it was given', async () => {
    await using test = await openPlainStore(engine);
    const every = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    for (const key of [new Uint8Array(), every, new Uint8Array(randomBytes(100_000)), Buffer.from('a small buffer')]) {
      await test.db.deleteFrom('agents').execute();
      await test.db.insertInto('agents').values({ name: 'a', key }).execute();
      const row = await test.db.selectFrom('agents').select('key').executeTakeFirstOrThrow();
      expect(row.key).toEqual(new Uint8Array(key));
      expect(row.key).not.toBeInstanceOf(Buffer);
    }
  });

  it('gives back the text it was given', async () => {
    await using test = await openPlainStore(engine);
    for (const text of TEXTS) await addAgent(test.db, text);
    const rows = await test.db.selectFrom('agents').select('name').orderBy('id').execute();
    expect(rows.map(({ name }) => name)).toEqual(TEXTS);
  });

  it('stores any text that an agent may send, the character 0 among it', async () => {
    await using test = await openPlainStore(engine);
    await addAgent(test.db, 'before\0after');
    const { name } = await test.db.selectFrom('agents').select('name').executeTakeFirstOrThrow();
    expect(name).toMatch(/^before[\0\uFFFD]after$/);
  });

  it('stores booleans as 0 and 1, and counts in numbers', async () => {
    await using test = await openPlainStore(engine);
    await test.db
      .insertInto('agents')
      .values([
        { name: 'a', enabled: true },
        { name: 'b', enabled: false },
      ])
      .execute();
    const { count, sum, most } = await test.db
      .selectFrom('agents')
      .select(({ fn }) => [
        fn.countAll<number>().as('count'),
        fn.sum<number>('enabled').as('sum'),
        fn.max('enabled').as('most'),
      ])
      .executeTakeFirstOrThrow();
    expect({ count, sum, most }).toEqual({ count: 2, sum: 1, most: 1 });
  });

  it('keeps whole numbers up to what a program can count', async () => {
    await using test = await openPlainStore(engine);
    const max = Number.MAX_SAFE_INTEGER;
    await sql`create table numbers (n bigint)`.execute(test.db);
    await sql`insert into numbers values (${max}), (${-max})`.execute(test.db);
    const { rows } = await sql`select n from numbers order by n`.execute(test.db);
    expect(rows).toEqual([{ n: -max }, { n: max }]);
  });

  it('says how many rows a write changed', async () => {
    await using test = await openPlainStore(engine);
    const inserted = await test.db
      .insertInto('agents')
      .values([{ name: 'a' }, { name: 'b' }])
      .executeTakeFirst();
    expect(inserted.numInsertedOrUpdatedRows).toBe(2n);
    const ignored = await test.db
      .insertInto('agents')
      .values({ name: 'a' })
      .onConflict((conflict) => conflict.column('name').doNothing())
      .executeTakeFirst();
    expect(ignored.numInsertedOrUpdatedRows).toBe(0n);
    const updated = await test.db.updateTable('agents').set({ enabled: true }).executeTakeFirst();
    expect(updated.numUpdatedRows).toBe(2n);
    const deleted = await test.db.deleteFrom('agents').where('name', '=', 'a').executeTakeFirst();
    expect(deleted.numDeletedRows).toBe(1n);
  });

  it('tells which promise of the schema was broken', async () => {
    await using test = await openPlainStore(engine);
    const { db } = test;
    await addAgent(db, 'a');
    await expect(addAgent(db, 'a')).rejects.toMatchObject({ violation: 'unique' });
    const orphan = db.insertInto('sessions').values({ agent_id: 7 }).execute();
    await expect(orphan).rejects.toMatchObject({ violation: 'foreign_key' });
    const nameless = sql`insert into agents (name) values (null)`.execute(db);
    await expect(nameless).rejects.toMatchObject({ violation: 'not_null' });
    await sql`create table numbers (number integer check (number > 0))`.execute(db);
    await expect(sql`insert into numbers values (0)`.execute(db)).rejects.toMatchObject({ violation: 'check' });
  });

  it('names a refused statement, and no value of it', async () => {
    await using test = await openPlainStore(engine);
    await addAgent(test.db, 'hunter2');
    const refused = await addAgent(test.db, 'hunter2').catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(StatementError);
    expect(isUniqueViolation(refused)).toBe(true);
    expect(everythingOf(refused)).not.toContain('hunter2');
    expect(refused).toMatchObject({ sql: expect.stringContaining('insert into "agents" ("name") values (') });
  });

  it('refuses a parameter that has no place in a column, without showing it', async () => {
    await using test = await openPlainStore(engine);
    const query = sql`select ${{ secret: 'hunter2' }}`.execute(test.db);
    await expect(query).rejects.toThrow('parameter 1: [object Object] has no place in a column');
  });

  it('takes nothing else for a unique violation', async () => {
    await using test = await openPlainStore(engine);
    const error: unknown = await sql`select nonsense`.execute(test.db).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ name: 'StatementError', violation: undefined });
  });
});

/** All that a log could show of an error, and of what caused it. */
function everythingOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = JSON.stringify(error, Object.getOwnPropertyNames(error));
  return `${own} ${String(error)} ${error.stack ?? ''} ${everythingOf(error.cause ?? '')}`;
}

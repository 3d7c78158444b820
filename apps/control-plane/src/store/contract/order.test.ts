import { describe, expect, it } from 'vitest';
import { requires } from '@drawbridge/testkit';
import type { Kysely } from 'kysely';
import { addAgent, createTestTables, type TestSchema } from '../sqlite/store-fixture.ts';
import { makeEnglishDatabase, onEachEngine } from '../test-database-fixture.ts';
import { openDatabase, openPlainStore } from './open-store-fixture.ts';

/** As bytes sort; a dictionary puts a, B, b together and does not see the hyphen. */
const IN_ORDER = ['A-1', 'A1', 'B', 'Z', 'a', 'a-1', 'a-b', 'a1', 'aB', 'a_b', 'ab', 'b', 'é', 'ü', '\u{1F600}'];

async function pagesOf(db: Kysely<TestSchema>): Promise<string[]> {
  const seen: string[] = [];
  for (;;) {
    const page = await db
      .selectFrom('agents')
      .select('name')
      .where('name', '>', seen.at(-1) ?? '')
      .orderBy('name')
      .limit(4)
      .execute();
    if (page.length === 0) return seen;
    seen.push(...page.map(({ name }) => name));
  }
}

onEachEngine((engine) => {
  it('sorts names by their bytes, and pages through them without a gap', async () => {
    await using test = await openPlainStore(engine);
    for (const name of IN_ORDER.toReversed()) await addAgent(test.db, name);
    expect(await pagesOf(test.db)).toEqual(IN_ORDER);
  });
});

describe.runIf(requires('postgres'))('on PostgreSQL in English', () => {
  it('sorts names by their bytes all the same', async () => {
    await using test = await openDatabase<TestSchema>(await makeEnglishDatabase());
    await createTestTables(test.db);
    for (const name of IN_ORDER.toReversed()) await addAgent(test.db, name);
    expect(await pagesOf(test.db)).toEqual(IN_ORDER);
  });
});

import { FakeClock } from '@drawbridge/testkit';
import { Kysely } from 'kysely';
import type { Engine } from '../engine.ts';
import { openStore } from '../open-store.ts';
import type { Store } from '../store.ts';
import { makeTestDatabase, type TestDatabase } from '../test-database-fixture.ts';
import { createTestTables, type TestSchema } from '../sqlite/store-fixture.ts';

/** For tests: an open store of either engine. */
export interface OpenStore<Tables> extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly clock: FakeClock;
  readonly store: Store;
  readonly db: Kysely<Tables>;
}

/** For tests: opens a new, empty store. */
export async function openEmptyStore<Tables>(engine: Engine): Promise<OpenStore<Tables>> {
  return openDatabase(await makeTestDatabase(engine));
}

/** For tests: opens `database`, which is gone with its store. */
export async function openDatabase<Tables>(database: TestDatabase): Promise<OpenStore<Tables>> {
  const clock = new FakeClock();
  const store = await openStore(database.location, database.dir.path, clock);
  return {
    database,
    clock,
    store,
    db: new Kysely<Tables>({ dialect: store.dialect }),
    async [Symbol.asyncDispose]() {
      await store.close();
      await database[Symbol.asyncDispose]();
    },
  };
}

/** For tests: a store with the tables of the store's own tests. */
export async function openPlainStore(engine: Engine): Promise<OpenStore<TestSchema>> {
  const opened = await openEmptyStore<TestSchema>(engine);
  await createTestTables(opened.db);
  return opened;
}

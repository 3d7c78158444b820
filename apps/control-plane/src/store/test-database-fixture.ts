import { randomBytes } from 'node:crypto';
import { postgresUrl, requires, TempDir } from '@drawbridge/testkit';
import { Client } from 'pg';
import { describe } from 'vitest';
import type { Engine } from './engine.ts';
import type { StoreLocation } from './open-store.ts';

const CONNECTIONS_MAX = 8;

/** For tests: runs a suite on both engines; PostgreSQL is left out, with a word, where there is none. */
export function onEachEngine(suite: (engine: Engine) => void): void {
  describe('on SQLite', () => {
    suite('sqlite');
  });
  describe.runIf(requires('postgres'))('on PostgreSQL', () => {
    suite('postgres');
  });
}

/** For tests: the engine that tests run on which do not say; the `postgres` project runs them a second time. */
export function defaultEngine(): Engine {
  return process.env['DRAWBRIDGE_TEST_STORE'] === 'postgres' ? 'postgres' : 'sqlite';
}

/** For tests: an empty database that nobody else sees, and that is gone at the end. */
export interface TestDatabase extends AsyncDisposable {
  readonly location: StoreLocation;
  /** For what is beside the database. */
  readonly dir: TempDir;
}

/** A file of its own, or a schema of its own. */
export async function makeTestDatabase(engine: Engine): Promise<TestDatabase> {
  const dir = await TempDir.make();
  if (engine === 'postgres') return makeSchema(dir, postgresUrl());
  const location = { url: `sqlite:${dir.join('store.db')}`, connections_max: CONNECTIONS_MAX };
  return { location, dir, [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose]() };
}

/** For tests: one statement of PostgreSQL's superuser, beside the store. */
export async function asSuperuser(sql: string, url = postgresUrl()): Promise<readonly Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

/** For tests: a database whose language sorts `B` after `a`, unlike SQLite. */
export async function makeEnglishDatabase(): Promise<TestDatabase> {
  const name = `test_${randomBytes(8).toString('hex')}`;
  await asSuperuser(`create database ${name} template template0 locale_provider icu icu_locale 'en-US'`);
  const url = new URL(postgresUrl());
  url.pathname = name;
  const dir = await TempDir.make();
  return {
    location: { url: url.href, connections_max: CONNECTIONS_MAX },
    dir,
    async [Symbol.asyncDispose]() {
      await asSuperuser(`drop database ${name} with (force)`);
      await dir[Symbol.asyncDispose]();
    },
  };
}

async function makeSchema(dir: TempDir, server: string): Promise<TestDatabase> {
  const schema = `test_${randomBytes(8).toString('hex')}`;
  await asSuperuser(`create schema ${schema}`, server);
  const url = new URL(server);
  url.searchParams.set('options', `-csearch_path=${schema}`);
  return {
    location: { url: url.href, connections_max: CONNECTIONS_MAX },
    dir,
    async [Symbol.asyncDispose]() {
      await asSuperuser(`drop schema ${schema} cascade`, server);
      await dir[Symbol.asyncDispose]();
    },
  };
}

import { randomBytes } from 'node:crypto';
import { postgresUrl, requires, TempDir } from '@drawbridge/testkit';
import { Client } from 'pg';

/** The engines a store runs on. */
export type Engine = 'sqlite' | 'postgres';

/** Those that can be measured here; a word on standard error says what is missing. */
export function enginesHere(): readonly Engine[] {
  return requires('postgres') ? ['sqlite', 'postgres'] : ['sqlite'];
}

/** An empty database of a bench's own, and a directory for what is beside it; both are gone at the end. */
export class BenchDatabase implements AsyncDisposable {
  readonly dir: TempDir;
  /** As `store.url` takes it. */
  readonly url: string;
  readonly #drop: () => Promise<void>;

  private constructor(dir: TempDir, url: string, drop: () => Promise<void>) {
    this.dir = dir;
    this.url = url;
    this.#drop = drop;
  }

  static async make(engine: Engine): Promise<BenchDatabase> {
    const dir = await TempDir.make('drawbridge-bench-');
    if (engine === 'sqlite') return new BenchDatabase(dir, `sqlite:${dir.join('bench.db')}`, async () => undefined);
    const name = `drawbridge_bench_${randomBytes(6).toString('hex')}`;
    await onServer(`create database ${name}`);
    const url = new URL(postgresUrl());
    url.pathname = name;
    return new BenchDatabase(dir, url.href, () => onServer(`drop database ${name} with (force)`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#drop();
    await this.dir[Symbol.asyncDispose]();
  }
}

async function onServer(statement: string): Promise<void> {
  const client = new Client({ connectionString: postgresUrl() });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

import type { Dialect, Kysely, Transaction } from 'kysely';
import type { Engine } from './engine.ts';
import type { Schema } from './schema.ts';

/** The database, or one transaction of it: repositories take either. */
export type Db = Kysely<Schema> | Transaction<Schema>;

/** A write about an agent holds only while this connection is its newest one (PROTOCOL.md §2.1). */
export interface Fence {
  readonly agentId: string;
  readonly epoch: number;
}

/** What a store has done since it was opened, and what waits for it now. */
export interface StoreStats {
  /** Commits that wrote something. SQLite puts many transactions into one. */
  readonly commits: number;
  /** Times the store itself failed, whatever the statement was. */
  readonly failures: number;
  readonly statements: number;
  /** Requests that have no answer yet. */
  readonly waiting: number;
}

/** The whole database as it was at one moment, to be read while it is worked on. */
export interface Snapshot extends AsyncDisposable {
  readonly db: Kysely<Schema>;
}

/** An open store, on either engine. Whoever opened it closes it; `Kysely.destroy` does not. */
export interface Store extends AsyncDisposable {
  readonly engine: Engine;
  /** For `new Kysely({ dialect })`. */
  readonly dialect: Dialect;
  /** Resolves when the store is gone for good: closed, or every call fails from now on. */
  readonly ended: Promise<void>;
  /** Counters as of the latest reply. */
  stats(): StoreStats;
  /** Resolves with what is committed now. It lasts until it is disposed, and keeps nobody from writing. */
  snapshot(): Promise<Snapshot>;
  /** Finishes what was asked, undoes transactions that were not committed, gives the database back. Twice is fine. */
  close(): Promise<void>;
}

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { LIMITS } from '@drawbridge/protocol';
import type { Store, StoreStats } from '../store.ts';
import { SqliteClient } from './client.ts';
import { sqliteDialect } from './dialect.ts';
import type { SqliteStats, WorkerReport, WorkerSettings } from './messages.ts';
import { removeLeftCopies, takeSnapshot } from './snapshot.ts';
import { toError } from './to-error.ts';
import type { PauseClock } from './transaction.ts';

/** Where the store is, and whose time its transactions live by. */
export interface OpenSqliteOptions {
  /** The database file; made, readable by its owner alone, when it is not there. */
  readonly path: string;
  readonly clock: PauseClock;
  /** How long one transaction may keep the store waiting for its caller. */
  readonly pauseMsMax?: number;
}

/** The store on SQLite, with what its worker counts. */
export interface SqliteStore extends Store {
  stats(): SqliteStats & StoreStats;
}

/**
 * Opens the SQLite store in a worker thread. Rejects with `conflict` when another control plane has the file, and with
 * `store_unavailable` or `disk_full` when it cannot be opened.
 */
export async function openSqlite(options: OpenSqliteOptions): Promise<SqliteStore> {
  const { path, clock, pauseMsMax = LIMITS.storeTransactionPauseMsMax } = options;
  const client = new SqliteClient(await startWorker(path), path);
  await removeLeftCopies(path);
  const close = () => client.close();
  return {
    engine: 'sqlite',
    dialect: sqliteDialect({ client, clock, pauseMsMax }),
    ended: client.ended,
    stats: () => ({ ...client.stats, failures: client.stats.commitsFailed, waiting: client.waiting }),
    snapshot: () => takeSnapshot(client, path, (copy) => openSqlite({ path: copy, clock })),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Resolves with a worker that holds the file open. */
export async function startWorker(path: string): Promise<Worker> {
  const worker = new Worker(new URL('./worker.ts', import.meta.url), {
    name: 'sqlite',
    workerData: {
      path,
      batchStatementsMax: LIMITS.storeBatchStatementsMax,
      preparedStatementsMax: LIMITS.storePreparedStatementsMax,
    } satisfies WorkerSettings,
  });
  // Listened to from the start: a worker that ends at once tells its last message and its exit in the same turn.
  const exited = new Promise<undefined>((resolve) => {
    worker.once('exit', () => resolve(undefined));
  });
  const [report]: WorkerReport[] = (await Promise.race([once(worker, 'message'), exited])) ?? [];
  if (report?.type === 'opened') return worker;
  await exited;
  if (report?.type === 'refused') throw toError(report.failure);
  throw new Error(`unexpected first report: ${report?.type}`);
}

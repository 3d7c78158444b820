import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { LIMITS } from '@drawbridge/protocol';
import type { Dialect } from 'kysely';
import { SqliteClient } from './client.ts';
import { sqliteDialect } from './dialect.ts';
import type { SqliteStats, WorkerReport, WorkerSettings } from './messages.ts';
import { toError } from './statement-error.ts';
import type { PauseClock } from './transaction.ts';

/** Where the store is, and whose time its transactions live by. */
export interface OpenSqliteOptions {
  /** The database file; made, readable by its owner alone, when it is not there. */
  readonly path: string;
  readonly clock: PauseClock;
}

/** An open store. Whoever opened it closes it; `Kysely.destroy` does not. */
export interface SqliteStore extends AsyncDisposable {
  /** For `new Kysely({ dialect })`. */
  readonly dialect: Dialect;
  /** Resolves when the store is gone: closed, or its worker died and every call fails from now on. */
  readonly ended: Promise<void>;
  /** Counters as of the latest reply. */
  stats(): SqliteStats;
  /** Finishes what was asked, undoes transactions that were not committed, gives the file back. Twice is fine. */
  close(): Promise<void>;
}

/**
 * Opens the SQLite store in a worker thread. Rejects with `conflict` when another control plane has the file, and with
 * `store_unavailable` or `disk_full` when it cannot be opened.
 */
export async function openSqlite({ path, clock }: OpenSqliteOptions): Promise<SqliteStore> {
  const client = new SqliteClient(await startWorker(path), path);
  const close = () => client.close();
  return {
    dialect: sqliteDialect({ client, clock, pauseMsMax: LIMITS.storeTransactionPauseMsMax }),
    ended: client.ended,
    stats: () => client.stats,
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
  const [report]: WorkerReport[] = await once(worker, 'message');
  if (report?.type === 'opened') return worker;
  await once(worker, 'exit');
  if (report?.type === 'refused') throw toError(report.failure);
  throw new Error(`unexpected first report: ${report?.type}`);
}

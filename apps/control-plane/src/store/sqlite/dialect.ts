import { type Dialect, SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler } from 'kysely';
import { SqliteWorkerDriver } from './driver.ts';
import type { TransactionOptions } from './transaction.ts';

/** SQLite as Kysely knows it, over a worker. */
export function sqliteDialect(options: TransactionOptions): Dialect {
  return {
    createAdapter: () => new PipelinedAdapter(),
    createDriver: () => new SqliteWorkerDriver(options),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  };
}

/** Keeps Kysely from queueing: there is one connection, but its order is the worker's business. */
class PipelinedAdapter extends SqliteAdapter {
  override get supportsMultipleConnections(): boolean {
    return true;
  }

  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

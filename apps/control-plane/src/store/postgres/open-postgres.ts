import { LIMITS } from '@drawbridge/protocol';
import type { Store } from '../store.ts';
import { connectionSettings } from './connection-settings.ts';
import { StoreDialect } from './dialect.ts';
import { InstanceLock } from './instance-lock.ts';
import { takeSnapshot } from './snapshot.ts';
import { StorePool } from './store-pool.ts';

/** Where the store is, and how much of the server it may take. */
export interface OpenPostgresOptions {
  /** `postgres://user:password@host:port/database?…`. */
  readonly url: string;
  /** Connections at the same time, besides the one that holds the lock. */
  readonly connectionsMax: number;
  /** How long a transaction may keep PostgreSQL waiting for its caller. */
  readonly pauseMsMax?: number;
  /** How long it waits for another control plane that is just ending. */
  readonly takeoverMsMax?: number;
}

/**
 * Opens the store on PostgreSQL. Rejects with `conflict` when another control plane has the database, and with
 * `store_unavailable` when it is not reached. While PostgreSQL is away every call fails with `store_unavailable`; the store
 * is back by itself when PostgreSQL is.
 */
export async function openPostgres(options: OpenPostgresOptions): Promise<Store> {
  const {
    url,
    connectionsMax,
    pauseMsMax = LIMITS.storeTransactionPauseMsMax,
    takeoverMsMax = LIMITS.storeTakeoverTimeoutMs,
  } = options;
  const settings = connectionSettings(url, { pauseMsMax, takeoverMsMax });
  const lock = await InstanceLock.take(settings);
  const pool = new StorePool({ settings, lock, connectionsMax });
  const close = async (): Promise<void> => {
    await pool.end();
    await lock.release();
  };
  return {
    engine: 'postgres',
    dialect: new StoreDialect({ pool }),
    ended: lock.ended,
    stats: () => pool.stats,
    snapshot: () => takeSnapshot(settings, lock),
    close,
    [Symbol.asyncDispose]: close,
  };
}

import { join } from 'node:path';
import { openSqlite } from './sqlite/open-sqlite.ts';
import type { PauseClock } from './sqlite/transaction.ts';
import type { Store } from './store.ts';

/** Which database holds the store. */
export interface StoreLocation {
  /** `sqlite:path`, relative to the data directory, or `postgres://…`. */
  readonly url: string;
  /** Connections to PostgreSQL; SQLite has one writer. */
  readonly connections_max: number;
}

/** How patient a store is. */
export interface StoreBounds {
  /** How long one transaction may keep the store waiting for its caller. */
  readonly pauseMsMax?: number;
}

/** Opens the store on the engine that its URL names. Rejects with `conflict` when another control plane has it. */
export async function openStore(
  location: StoreLocation,
  dataDir: string,
  clock: PauseClock,
  bounds: StoreBounds = {},
): Promise<Store> {
  const { url } = location;
  if (!url.startsWith('sqlite:')) {
    // Its driver is read by who uses it: the memory is dear to a small control plane.
    const { openPostgres } = await import('./postgres/open-postgres.ts');
    return openPostgres({ url, connectionsMax: location.connections_max, ...bounds });
  }
  const path = url.slice('sqlite:'.length);
  return openSqlite({ path: path.startsWith('/') ? path : join(dataDir, path), clock, ...bounds });
}

import type { PostgresPool } from 'kysely';
import { ControlError, LIMITS } from '@drawbridge/protocol';
import { Pool } from 'pg';
import type { StoreStats } from '../store.ts';
import type { ConnectionSettings } from './connection-settings.ts';
import type { InstanceLock } from './instance-lock.ts';
import { type Observer, PooledClient } from './pooled-client.ts';
import { toError } from './to-error.ts';

/** What a pool needs. */
export interface StorePoolOptions {
  readonly settings: ConnectionSettings;
  readonly lock: Pick<InstanceLock, 'hold' | 'term'>;
  readonly connectionsMax: number;
}

/**
 * The connections of the store. Work is taken while the lock is held and not too much waits; a lost connection is replaced
 * by the next request, so that the store is back when PostgreSQL is.
 */
export class StorePool implements PostgresPool {
  /** Kysely may copy it to make connections of its own, which it does not here. */
  readonly options: object = {};
  readonly #options: StorePoolOptions;
  readonly #pool: Pool;
  readonly #borrowed = new Set<PooledClient>();
  readonly #observer: Observer;
  #waiting = 0;
  #isClosing = false;
  #onIdle: () => void = () => undefined;
  readonly #counts = { commits: 0, failures: 0, statements: 0 };

  constructor(options: StorePoolOptions) {
    this.#options = options;
    this.#pool = new Pool({ ...options.settings.config, max: options.connectionsMax });
    // An idle connection was lost: the pool has dropped it already.
    this.#pool.on('error', () => {});
    // Between the pool's listener and the borrower's there is a moment in which an end would end the process.
    this.#pool.on('connect', (client) => client.on('error', () => {}));
    this.#observer = {
      statement: () => (this.#counts.statements += 1),
      committed: () => (this.#counts.commits += 1),
      failed: () => (this.#counts.failures += 1),
      done: (client) => {
        this.#borrowed.delete(client);
        this.#tellIdle();
      },
    };
  }

  get stats(): StoreStats {
    return { ...this.#counts, waiting: this.#waiting + this.#borrowed.size };
  }

  /** A connection, once there is one. Rejects with `store_unavailable` when there will be none in time. */
  async connect(): Promise<PooledClient> {
    const { settings, lock } = this.#options;
    this.#admit();
    this.#waiting += 1;
    try {
      const term = await lock.hold();
      const client = await this.#pool.connect();
      const borrowed = new PooledClient({ client, lock, term, settings, observer: this.#observer });
      this.#borrowed.add(borrowed);
      if (this.#isClosing) borrowed.retire();
      return borrowed;
    } catch (error) {
      this.#counts.failures += 1;
      throw toError(error, settings);
    } finally {
      this.#waiting -= 1;
      this.#tellIdle();
    }
  }

  /** Lets lone statements end, undoes transactions, and closes every connection. Twice is fine. */
  async end(): Promise<void> {
    if (this.#isClosing) return;
    this.#isClosing = true;
    for (const client of this.#borrowed) client.retire();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onIdle = resolve;
    this.#tellIdle();
    // Each wait behind this has its own limit: for a connection, for a statement, for a word of the server.
    await promise;
    await this.#pool.end();
  }

  #tellIdle(): void {
    if (this.#waiting === 0 && this.#borrowed.size === 0) this.#onIdle();
  }

  #admit(): void {
    const { name } = this.#options.settings;
    if (this.#isClosing) throw new ControlError('store_unavailable', `${name}: the store is closing`);
    if (this.#waiting < LIMITS.storeRequestsMax) return;
    throw new ControlError('store_unavailable', `${name}: ${this.#waiting} requests are waiting already`);
  }
}

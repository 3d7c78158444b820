import type { PostgresPoolClient, PostgresQueryResult } from 'kysely';
import { ControlError, LIMITS } from '@drawbridge/protocol';
import type { PoolClient } from 'pg';
import { bindAll } from '../bind.ts';
import type { ConnectionSettings } from './connection-settings.ts';
import type { InstanceLock } from './instance-lock.ts';
import { isCollision, toError } from './to-error.ts';

/** What a pooled connection tells of its work. */
export interface Observer {
  statement(): void;
  committed(): void;
  failed(): void;
  /** The connection is with the pool again, or gone. */
  done(client: PooledClient): void;
}

/** What a pooled connection needs. */
export interface PooledClientOptions {
  readonly client: PoolClient;
  readonly lock: Pick<InstanceLock, 'term'>;
  /** The term of the lock in which it was borrowed. */
  readonly term: number;
  readonly settings: ConnectionSettings;
  readonly observer: Observer;
}

/**
 * One borrowed connection: its errors are ours, and it is not used again when it is not certain what state it is in.
 *
 *   idle --begin--> inTransaction --commit, rollback--> idle --release--> returned
 *     `------------retire() cuts a transaction off---------------------------^
 */
export class PooledClient implements PostgresPoolClient {
  readonly #options: PooledClientOptions;
  #inTransaction = false;
  #isBroken = false;
  #isRetired = false;
  #isReturned = false;
  #running = 0;
  #lost: Error | undefined;

  constructor(options: PooledClientOptions) {
    this.#options = options;
    options.client.on('error', this.#onLost);
  }

  /** The number of its server process. */
  get processID(): number {
    return 'processID' in this.#options.client ? Number(this.#options.client.processID) : 0;
  }

  // Cursors are not offered: the store does not stream.
  query<R>(sql: string, parameters: ReadonlyArray<unknown>): Promise<PostgresQueryResult<R>>;
  query(cursor: never): never;
  async query<R>(sql: string, parameters: ReadonlyArray<unknown> = []): Promise<PostgresQueryResult<R>> {
    this.#assertUsable(sql);
    const values = bindAll(parameters).map(withoutNul);
    this.#running += 1;
    try {
      const result = await this.#run<R>(sql, values);
      this.#noteTransaction(sql, result.command);
      return result;
    } finally {
      this.#running -= 1;
      this.#cutOff();
    }
  }

  /** Gives the connection back to the pool; a doubtful one is closed instead. Later calls do nothing. */
  release(destroy = false): void {
    if (this.#isReturned) return;
    this.#isReturned = true;
    const { client, observer } = this.#options;
    client.off('error', this.#onLost);
    client.release(destroy || this.#isBroken || this.#inTransaction);
    observer.done(this);
  }

  /** The store closes: a lone statement may end, a transaction is undone. */
  retire(): void {
    this.#isRetired = true;
    this.#cutOff();
  }

  /** Without a listener, a connection that ends between two statements would end the process. */
  readonly #onLost = (error: Error): void => {
    this.#lost ??= error;
    this.#isBroken = true;
  };

  async #run<R>(sql: string, values: readonly unknown[]): Promise<PostgresQueryResult<R>> {
    const { client, observer } = this.#options;
    for (let attempt = 1; ; attempt += 1) {
      observer.statement();
      try {
        return (await client.query<never>(sql, [...values])) as unknown as PostgresQueryResult<R>;
      } catch (error) {
        // Alone in its transaction it was undone as a whole, and may be tried again.
        if (isCollision(error) && !this.#inTransaction && attempt < LIMITS.storeCollisionTriesMax) continue;
        throw this.#failure(error, sql);
      }
    }
  }

  #noteTransaction(sql: string, command: string): void {
    if (sql === 'begin' || sql.startsWith('start transaction')) this.#inTransaction = true;
    else if (sql === 'commit' || sql === 'rollback') {
      this.#inTransaction = false;
      if (command === 'COMMIT') this.#options.observer.committed();
    } else if (!this.#inTransaction && command !== 'SELECT') this.#options.observer.committed();
  }

  #failure(error: unknown, sql: string): Error {
    const { settings, observer } = this.#options;
    // The reason why a connection ended comes as an event, before the statement that notices.
    const failure = toError(this.#lost ?? error, settings, sql);
    if (failure instanceof ControlError) {
      this.#isBroken = true;
      observer.failed();
    }
    return failure;
  }

  #assertUsable(sql: string): void {
    const { settings, lock, term } = this.#options;
    const isRefused = this.#isReturned || (this.#isRetired && (this.#inTransaction || sql === 'begin'));
    if (isRefused) throw new ControlError('store_unavailable', `${settings.name}: the store is closing`);
    if (lock.term === term) return;
    this.#isBroken = true;
    throw new ControlError('store_unavailable', `${settings.name}: the connection that holds the lock was lost`);
  }

  #cutOff(): void {
    if (this.#isRetired && this.#inTransaction && this.#running === 0) this.release(true);
  }
}

/** PostgreSQL has no place for the character 0 in a text. What agents say must be storable all the same. */
function withoutNul(value: unknown): unknown {
  return typeof value === 'string' ? value.replaceAll('\0', '\uFFFD') : value;
}

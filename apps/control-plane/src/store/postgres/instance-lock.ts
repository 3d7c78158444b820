import { ControlError, LIMITS } from '@drawbridge/protocol';
import { Client } from 'pg';
import type { ConnectionSettings } from './connection-settings.ts';
import { sqlStateOf, toError } from './to-error.ts';

/** One lock for each schema of a database. PostgreSQL gives it back when the connection ends, however it ends. */
const LOCK = `select pg_advisory_lock(hashtextextended('drawbridge control plane of ' || coalesce(current_schema(), ''), 0))`;

/** A holder whose machine has vanished is given up within this. Not every transport has these settings. */
const NOTICE_A_LOST_HOLDER = `set tcp_keepalives_idle = 10; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3`;

const LOCK_NOT_AVAILABLE = '55P03';

/**
 * The right of one control plane to a database, held by a connection of its own.
 *
 *   held --connection lost--> lost --hold()--> held (the next term)
 *    |                         `---another has it--> gone
 *    `--release()--> gone
 */
export class InstanceLock {
  /** Resolves when the right is gone for good: released, or another control plane has it. */
  readonly ended: Promise<void>;
  readonly #settings: ConnectionSettings;
  readonly #end: () => void;
  #client: Client | undefined;
  #taking: Promise<void> | undefined;
  #isGone = false;
  #term = 0;

  private constructor(settings: ConnectionSettings) {
    this.#settings = settings;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#end = resolve;
  }

  /** Takes the lock. Rejects with `conflict` when another control plane has it, and does not let it go soon. */
  static async take(settings: ConnectionSettings): Promise<InstanceLock> {
    const lock = new InstanceLock(settings);
    await lock.hold();
    return lock;
  }

  /** Which time it is held, from 1. Work begun in an earlier term must not go on: another may have been here meanwhile. */
  get term(): number {
    return this.#client === undefined ? 0 : this.#term;
  }

  /** Resolves with the term when the lock is held; takes it again when its connection was lost. Callers share one try. */
  async hold(): Promise<number> {
    if (this.#client === undefined) {
      this.#taking ??= this.#take().finally(() => (this.#taking = undefined));
      await this.#taking;
    }
    return this.#term;
  }

  /** Gives the lock back. Twice is fine. */
  async release(): Promise<void> {
    this.#isGone = true;
    await this.#taking?.catch(() => undefined);
    const client = this.#client;
    this.#client = undefined;
    if (client !== undefined) await Promise.race([client.end().catch(() => undefined), silence()]);
    this.#end();
  }

  async #take(): Promise<void> {
    if (this.#isGone) throw this.#gone();
    const client = new Client({
      ...this.#settings.config,
      application_name: 'drawbridge lock',
      lock_timeout: this.#settings.takeoverMsMax,
    });
    // Lost connections are noticed by their end.
    client.on('error', () => {});
    let hasEnded = false;
    client.once('end', () => {
      hasEnded = true;
      if (this.#client !== client) return;
      this.#client = undefined;
      // At once, before another has it. When PostgreSQL is away, the next who needs the store tries again.
      this.hold().catch(() => undefined);
    });
    try {
      await client.connect();
      await client.query(NOTICE_A_LOST_HOLDER);
      await client.query(LOCK);
      if (hasEnded) throw new Error('the connection ended as soon as it held the lock');
    } catch (error) {
      await client.end().catch(() => undefined);
      throw this.#failure(error);
    }
    this.#client = client;
    this.#term += 1;
  }

  #failure(error: unknown): Error {
    if (sqlStateOf(error) !== LOCK_NOT_AVAILABLE) return toError(error, this.#settings);
    this.#isGone = true;
    this.#end();
    return this.#gone();
  }

  #gone(): ControlError {
    return new ControlError('conflict', `another control plane runs on ${this.#settings.name}`);
  }
}

/** Resolves when a server that has not taken leave by now will not. It gives the lock back by itself later. */
function silence(): Promise<void> {
  const signal = AbortSignal.timeout(LIMITS.storeTakeoverTimeoutMs);
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

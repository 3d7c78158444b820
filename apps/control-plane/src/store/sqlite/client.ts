import type { Worker } from 'node:worker_threads';
import { ControlError, LIMITS } from '@drawbridge/protocol';
import type { SqliteStats, StatementResult, StoreReply, StoreRequest, WorkerReport } from './messages.ts';
import { toError } from './to-error.ts';

/** A request before it is numbered. */
type Unnumbered<T> = T extends { readonly requestId: number } ? Omit<T, 'requestId'> : never;

/** What `SqliteClient.ask` takes. */
export type Question = Unnumbered<StoreRequest>;

interface Waiting {
  resolve(result: StatementResult): void;
  reject(error: unknown): void;
}

/**
 * The main thread's end of the worker: posts requests in order without waiting, and settles each with its reply.
 *
 *   open --close()--> closing --worker's exit--> gone
 *    `----------------worker's exit or error-----^
 */
export class SqliteClient {
  /** Resolves when the worker is gone, whatever the reason. */
  readonly ended: Promise<void>;
  readonly #worker: Worker;
  readonly #path: string;
  readonly #waiting = new Map<number, Waiting>();
  #state: 'open' | 'closing' | 'gone' = 'open';
  #requestsMade = 0;
  #transactionsMade = 0;
  #outbox: StoreRequest[] = [];
  #stats: SqliteStats = {
    commits: 0,
    commitsFailed: 0,
    statements: 0,
    transactionsReleased: 0,
    transactionsRolledBack: 0,
  };

  /** Takes over a worker that has reported `opened`. */
  constructor(worker: Worker, path: string) {
    this.#worker = worker;
    this.#path = path;
    worker.on('message', (report: WorkerReport) => {
      if (report.type !== 'replies') return;
      this.#stats = report.stats;
      for (const reply of report.replies) this.#settle(reply);
    });
    this.ended = new Promise((resolve) => {
      const end = (cause?: unknown) => {
        this.#end(cause);
        resolve();
      };
      worker.once('error', end);
      worker.once('exit', () => end());
    });
  }

  /** Counters as of the latest reply. */
  get stats(): SqliteStats {
    return this.#stats;
  }

  /** Requests without a reply. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** A number no other transaction of this store has. */
  newTransactionId(): number {
    this.#transactionsMade += 1;
    return this.#transactionsMade;
  }

  /** Throws when new work is not taken: the store is closing or gone, or too many requests wait already. */
  admit(): void {
    if (this.#state !== 'open') throw this.#unavailable();
    if (this.#waiting.size >= LIMITS.storeRequestsMax) {
      throw new ControlError('store_unavailable', `${this.#path}: ${this.#waiting.size} requests are waiting already`);
    }
  }

  /** Posts `question` after everything posted before, and resolves or rejects with its reply. */
  ask(question: Question): Promise<StatementResult> {
    if (this.#state !== 'open') return Promise.reject(this.#unavailable());
    this.#requestsMade += 1;
    const requestId = this.#requestsMade;
    return new Promise((resolve, reject) => {
      this.#waiting.set(requestId, { resolve, reject });
      this.#post({ ...question, requestId });
    });
  }

  /** Finishes what was asked, undoes transactions that were not committed, and ends the worker. Twice is fine. */
  async close(): Promise<void> {
    if (this.#state === 'open') {
      this.#state = 'closing';
      this.#post({ type: 'close' });
    }
    await this.ended;
  }

  /** Requests of one turn travel as one message. */
  #post(request: StoreRequest): void {
    this.#outbox.push(request);
    if (this.#outbox.length > 1) return;
    queueMicrotask(() => {
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker thread has no origin
      this.#worker.postMessage(this.#outbox);
      this.#outbox = [];
    });
  }

  #settle(reply: StoreReply): void {
    const waiting = this.#waiting.get(reply.requestId);
    // The worker's last words may come after its end was noticed.
    if (waiting === undefined) return;
    this.#waiting.delete(reply.requestId);
    if ('result' in reply) waiting.resolve(reply.result);
    else waiting.reject(toError(reply.failure));
  }

  #end(cause: unknown): void {
    this.#state = 'gone';
    const error = this.#unavailable(cause);
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
  }

  #unavailable(cause?: unknown): ControlError {
    const reason = this.#state === 'closing' ? 'is closing' : 'is closed, its worker has ended';
    const options = cause === undefined ? {} : { cause };
    return new ControlError('store_unavailable', `${this.#path}: the store ${reason}`, options);
  }
}

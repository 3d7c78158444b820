import type { Clock, Timer } from '@drawbridge/link';
import { ControlError } from '@drawbridge/protocol';
import type { Question, SqliteClient } from './client.ts';
import type { Statement, StatementResult } from './messages.ts';

/** The part of a clock that transactions need. */
export type PauseClock = Pick<Clock, 'after' | 'monotonic'>;

/** What transactions are begun with. */
export interface TransactionOptions {
  readonly client: SqliteClient;
  readonly clock: PauseClock;
  /** How long the caller may keep the store waiting, all pauses together; SQLite's own work is not counted. */
  readonly pauseMsMax: number;
}

/**
 * One interactive transaction. Everything else waits while it is open, so a caller that hangs is cut off.
 *
 *   open --commit, rollback--> ended
 *    `-----pauses too long---> expired (undone)
 */
export class InteractiveTransaction {
  readonly #options: TransactionOptions;
  readonly #transactionId: number;
  #state: 'open' | 'ended' | 'expired' = 'open';
  #unanswered = 0;
  #pauseLeftMs: number;
  #pause: { readonly timer: Timer; readonly sinceMs: number } | undefined;

  /** Posts the begin and does not wait for it. Throws when the store takes no new work. */
  constructor(options: TransactionOptions) {
    options.client.admit();
    this.#options = options;
    this.#transactionId = options.client.newTransactionId();
    this.#pauseLeftMs = options.pauseMsMax;
    // A begin that failed shows in every later step.
    this.#ask({ type: 'begin', transactionId: this.#transactionId }).catch(() => {});
  }

  /** Runs one statement; its result is tentative until the commit has been answered. */
  async run(statement: Statement): Promise<StatementResult> {
    this.#assertOpen();
    this.#options.client.admit();
    return this.#ask({ type: 'run', transactionId: this.#transactionId, statement });
  }

  /** Resolves when everything the transaction did is durable. Others may run as soon as this is posted. */
  async commit(): Promise<void> {
    this.#assertOpen();
    this.#state = 'ended';
    await this.#ask({ type: 'commit', transactionId: this.#transactionId });
  }

  /** Undoes the transaction, unless it has ended already. Resolves when what it has read is durable. */
  async rollback(): Promise<void> {
    if (this.#state !== 'open') return;
    this.#state = 'ended';
    await this.#ask({ type: 'rollback', transactionId: this.#transactionId });
  }

  async #ask(question: Question): Promise<StatementResult> {
    this.#endPause();
    this.#unanswered += 1;
    try {
      return await this.#options.client.ask(question);
    } finally {
      this.#unanswered -= 1;
      if (this.#unanswered === 0 && this.#state === 'open') this.#startPause();
    }
  }

  /** The store now waits for the caller. */
  #startPause(): void {
    const { clock } = this.#options;
    const timer = clock.after(this.#pauseLeftMs, () => this.#expire());
    this.#pause = { timer, sinceMs: clock.monotonic() };
  }

  #endPause(): void {
    if (this.#pause === undefined) return;
    this.#pause.timer.cancel();
    this.#pauseLeftMs = Math.max(0, this.#pauseLeftMs - (this.#options.clock.monotonic() - this.#pause.sinceMs));
    this.#pause = undefined;
  }

  #expire(): void {
    this.#state = 'expired';
    // Fails only when the store is gone, and the transaction with it.
    this.#ask({ type: 'rollback', transactionId: this.#transactionId }).catch(() => {});
  }

  #assertOpen(): void {
    if (this.#state === 'open') return;
    if (this.#state === 'ended') throw new Error('the transaction has ended');
    const { pauseMsMax } = this.#options;
    throw new ControlError('timed_out', `the transaction was undone: it kept the store waiting for ${pauseMsMax} ms`);
  }
}

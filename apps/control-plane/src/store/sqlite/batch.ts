import type { DatabaseSync } from 'node:sqlite';
import { failureOf } from './failure.ts';
import type { Failure, SqliteStats, Statement, StatementResult, StoreReply } from './messages.ts';
import { StatementCache } from './statement-cache.ts';

/** What a batch needs to work. */
export interface BatchOptions {
  readonly database: DatabaseSync;
  readonly path: string;
  readonly statementsMax: number;
  readonly preparedStatementsMax: number;
  readonly send: (replies: readonly StoreReply[], stats: SqliteStats) => void;
}

/** `now`: tentative, or true already. `durable`: not before the commit of everything it may rest on. */
export type ReplyWhen = 'now' | 'durable';

/**
 * The outer transaction, over and over: many units of work, one COMMIT, and only then their replies.
 *
 *   closed --first unit--> open --commit--> closed
 *                           `----fail-----> closed, every held reply now a failure
 *
 * A unit is a savepoint (`begin`, then `release` or `undo`). Units follow each other and never nest, so that undoing one
 * touches no other.
 */
export class Batch {
  readonly #options: BatchOptions;
  readonly #statements: StatementCache;
  #open = false;
  /** From the first write on, even a read may have seen what is not durable yet. */
  #wrote = false;
  #statementsInBatch = 0;
  #ready: StoreReply[] = [];
  #held: StoreReply[] = [];
  #stats = { commits: 0, commitsFailed: 0, statements: 0, transactionsReleased: 0, transactionsRolledBack: 0 };

  constructor(options: BatchOptions) {
    this.#options = options;
    this.#statements = new StatementCache(options.database, options.preparedStatementsMax);
  }

  /** The batch has had its share of statements and should be committed between two units. */
  get isFull(): boolean {
    return this.#statementsInBatch >= this.#options.statementsMax;
  }

  /** Opens a unit. Throws when the store cannot. */
  begin(): void {
    if (!this.#open) {
      this.#clear();
      this.#exec('BEGIN');
      this.#open = true;
    }
    this.#exec('SAVEPOINT unit');
  }

  /** Keeps what the open unit did, if the batch commits. */
  release(): void {
    this.#exec('RELEASE unit');
  }

  /** Undoes what the open unit did. */
  undo(): void {
    this.#exec('ROLLBACK TO unit');
    this.#exec('RELEASE unit');
  }

  /** Runs one statement. Throws what SQLite throws: see `fatal`. */
  run(statement: Statement): StatementResult {
    this.#stats.statements += 1;
    this.#statementsInBatch += 1;
    if (!statement.reads) this.#wrote = true;
    return this.#statements.run(statement);
  }

  /** Counts an interactive transaction that ended. */
  countTransaction(end: 'released' | 'rolledBack'): void {
    if (end === 'released') this.#stats.transactionsReleased += 1;
    else this.#stats.transactionsRolledBack += 1;
  }

  /** Sends `reply` at its time: a `durable` one after the commit, if there is anything to commit. */
  reply(reply: StoreReply, when: ReplyWhen): void {
    if (when === 'durable' && this.#wrote) this.#held.push(reply);
    else this.#ready.push(reply);
  }

  /** What `error` means: a failure of its statement alone, or, when `fatal`, of everything in the batch. */
  judge(error: unknown, sql: string): { readonly failure: Failure; readonly fatal: boolean } {
    if (error instanceof BatchError) return { failure: error.failure, fatal: true };
    const { database, path } = this.#options;
    const failure = failureOf(error, sql, path);
    if (failure.kind === 'store') return { failure, fatal: true };
    // When SQLite itself gave the transaction up, the neighbours' work is gone as well.
    const fatal = this.#open && !database.isTransaction;
    return { failure: fatal ? asStoreFailure(failure, path) : failure, fatal };
  }

  /** Makes everything durable, and says so. Only between units. */
  commit(): void {
    this.flush();
    if (this.#open) {
      try {
        this.#exec('COMMIT');
      } catch (error) {
        this.fail(this.judge(error, 'COMMIT').failure);
        return;
      }
      if (this.#wrote) this.#stats.commits += 1;
    }
    this.#ready = this.#held;
    this.#reset();
    this.flush();
  }

  /** Gives everything in the batch up: its held replies become `failure`, the database is as it was before. */
  fail(failure: Failure): void {
    if (this.#open) this.#stats.commitsFailed += 1;
    this.#ready.push(...this.#held.map(({ requestId }) => ({ requestId, failure })));
    this.#reset();
    this.#clear();
    this.flush();
  }

  /** Sends what need not wait. */
  flush(): void {
    if (this.#ready.length === 0) return;
    this.#options.send(this.#ready, { ...this.#stats });
    this.#ready = [];
  }

  #reset(): void {
    this.#open = false;
    this.#wrote = false;
    this.#statementsInBatch = 0;
    this.#held = [];
  }

  /** A transaction that could not be rolled back is still there: it must be gone before the next one. */
  #clear(): void {
    const { database } = this.#options;
    if (!database.isTransaction) return;
    try {
      database.exec('ROLLBACK');
    } catch {
      // Tried again by the next `begin`, whose caller hears of it.
    }
  }

  #exec(sql: string): void {
    const { database, path } = this.#options;
    try {
      database.exec(sql);
    } catch (error) {
      throw new BatchError(asStoreFailure(failureOf(error, sql, path), path));
    }
  }
}

/** The batch's own BEGIN, SAVEPOINT, RELEASE or COMMIT failed: nothing in it can be kept. */
class BatchError extends Error {
  override readonly name = 'BatchError';
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure.message);
    this.failure = failure;
  }
}

function asStoreFailure(failure: Failure, path: string): Failure {
  if (failure.kind === 'store') return failure;
  return { kind: 'store', code: 'store_unavailable', message: `${path}: ${failure.message}` };
}

import type { SqlValue } from '../bind.ts';

/** One statement. `reads` promises that it changes nothing, so that its answer need not wait for a commit. */
export interface Statement {
  readonly sql: string;
  readonly parameters: readonly SqlValue[];
  readonly reads: boolean;
}

/**
 * What a statement gave. `columns` names the values of each row, in their order: objects would repeat the names in every row,
 * and take three times as long to cross threads. `changes` and `lastRowId` are there for statements that return no rows.
 */
export interface StatementResult {
  readonly rows: readonly (readonly SqlValue[])[];
  readonly columns?: readonly string[];
  readonly changes?: number | bigint;
  readonly lastRowId?: number | bigint;
}

/** A statement outside of any transaction: all of it happens, or nothing. */
export interface LoneRequest {
  readonly type: 'lone';
  readonly requestId: number;
  readonly statement: Statement;
}

/** One step of an interactive transaction. The steps of one transaction are posted in order. */
export type TransactionRequest =
  | { readonly type: 'run'; readonly requestId: number; readonly transactionId: number; readonly statement: Statement }
  | { readonly type: 'begin' | 'commit' | 'rollback'; readonly requestId: number; readonly transactionId: number };

/** A copy of the database as a new file. It waits for nobody's turn, and nobody waits for it. */
export interface CopyRequest {
  readonly type: 'copy';
  readonly requestId: number;
  readonly path: string;
}

/** Everything the main thread asks of the worker. Nothing is read after `close`. */
export type StoreRequest = LoneRequest | TransactionRequest | CopyRequest | { readonly type: 'close' };

/** Why a request failed, in a shape that crosses threads; `toError` makes it an error again. */
export type Failure =
  | { readonly kind: 'store'; readonly code: 'conflict' | 'disk_full' | 'store_unavailable'; readonly message: string }
  | { readonly kind: 'statement'; readonly message: string; readonly sqliteCode: number; readonly sql: string };

/** The answer to one request. */
export type StoreReply =
  | { readonly requestId: number; readonly result: StatementResult }
  | { readonly requestId: number; readonly failure: Failure };

/** Counters of one open store, from zero. */
export interface SqliteStats {
  /** Outer transactions that wrote and were made durable: what an fsync was paid for. */
  readonly commits: number;
  /** Outer transactions that were lost with everything in them. */
  readonly commitsFailed: number;
  readonly statements: number;
  /** Interactive transactions that were released, and that were rolled back. */
  readonly transactionsReleased: number;
  readonly transactionsRolledBack: number;
}

/** Everything the worker tells the main thread. */
export type WorkerReport =
  | { readonly type: 'opened' }
  | { readonly type: 'refused'; readonly failure: Failure }
  | { readonly type: 'replies'; readonly replies: readonly StoreReply[]; readonly stats: SqliteStats };

/** What the worker is started with: the bounds come from `LIMITS`, which the worker does not load. */
export interface WorkerSettings {
  readonly path: string;
  readonly batchStatementsMax: number;
  readonly preparedStatementsMax: number;
}

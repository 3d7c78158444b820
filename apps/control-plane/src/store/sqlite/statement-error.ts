import { ControlError } from '@drawbridge/protocol';
import type { Failure } from './messages.ts';

/** Which promise of the schema a statement would have broken. */
export type Violation = 'unique' | 'foreign_key' | 'not_null' | 'check';

/** Extended result codes of SQLITE_CONSTRAINT (sqlite.org/rescode.html). */
const VIOLATIONS: ReadonlyMap<number, Violation> = new Map([
  [275, 'check'],
  [787, 'foreign_key'],
  [1299, 'not_null'],
  [1555, 'unique'], // PRIMARYKEY
  [2067, 'unique'],
  [2579, 'unique'], // ROWID
]);

/** The database refused a statement; nothing of it happened. Holds the SQL with its placeholders, never a value. */
export class StatementError extends Error {
  override readonly name = 'StatementError';
  readonly sql: string;
  readonly violation: Violation | undefined;

  constructor(message: string, sql: string, violation: Violation | undefined) {
    super(message);
    this.sql = sql;
    this.violation = violation;
  }
}

/** A row with this key is there already. */
export function isUniqueViolation(error: unknown): error is StatementError {
  return error instanceof StatementError && error.violation === 'unique';
}

/** The error a caller sees for what the worker reported. */
export function toError(failure: Failure): ControlError | StatementError {
  if (failure.kind === 'store') return new ControlError(failure.code, failure.message);
  return new StatementError(failure.message, failure.sql, VIOLATIONS.get(failure.sqliteCode));
}

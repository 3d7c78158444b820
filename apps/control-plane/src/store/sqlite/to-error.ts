import { ControlError } from '@drawbridge/protocol';
import { StatementError, type Violation } from '../statement-error.ts';
import type { Failure } from './messages.ts';

/** Extended result codes of SQLITE_CONSTRAINT (sqlite.org/rescode.html). */
const VIOLATIONS: ReadonlyMap<number, Violation> = new Map([
  [275, 'check'],
  [787, 'foreign_key'],
  [1299, 'not_null'],
  [1555, 'unique'], // PRIMARYKEY
  [2067, 'unique'],
  [2579, 'unique'], // ROWID
]);

/** The error a caller sees for what the worker reported. */
export function toError(failure: Failure): ControlError | StatementError {
  if (failure.kind === 'store') return new ControlError(failure.code, failure.message);
  return new StatementError(failure.message, failure.sql, VIOLATIONS.get(failure.sqliteCode));
}

/** Which promise of the schema a statement would have broken. */
export type Violation = 'unique' | 'foreign_key' | 'not_null' | 'check';

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

import { ControlError } from '@drawbridge/protocol';
import { DatabaseError } from 'pg';
import { StatementError, type Violation } from '../statement-error.ts';
import type { ConnectionSettings } from './connection-settings.ts';

/** postgresql.org/docs/current/errcodes-appendix.html */
const VIOLATIONS: ReadonlyMap<string, Violation> = new Map([
  ['23502', 'not_null'],
  ['23503', 'foreign_key'],
  ['23505', 'unique'],
  ['23514', 'check'],
]);

/** The server gave one of two up, and nothing of it happened: `serialization_failure`, `deadlock_detected`. */
const COLLISIONS: ReadonlySet<string> = new Set(['40001', '40P01']);

/** `query_canceled` (statement_timeout), `lock_not_available` (lock_timeout). */
const TIMEOUTS: ReadonlySet<string> = new Set(['57014', '55P03']);
const IDLE_IN_TRANSACTION_TIMEOUT = '25P03';
const DISK_FULL = '53100';

/** The server, the way to it or the right to use it, not the statement: connection, resources, operators, files, sign-in. */
const STORE_CLASSES: ReadonlySet<string> = new Set(['08', '28', '3D', '3F', '53', '57', '58', 'XX']);
/** A standby after a failover takes no writes. */
const READ_ONLY = '25006';

/** Classes whose messages name servers, tables and columns; others, `data_exception` above all, quote values. */
const CLASSES_WITHOUT_VALUES = new Set(['08', '0A', '23', '25', '28', '3D', '3F', '40', '42', '53', '55', '57', '58']);

/**
 * The error a caller sees for what pg threw. PostgreSQL's `detail` and `where` quote values, so that neither they nor the
 * original error, as a cause, get through.
 */
export function toError(
  error: unknown,
  { name, pauseMsMax }: Pick<ConnectionSettings, 'name' | 'pauseMsMax'>,
  sql = '',
): Error {
  if (error instanceof ControlError || error instanceof StatementError) return error;
  const code = sqlStateOf(error);
  if (code === undefined) return new ControlError('store_unavailable', `${name}: ${connectionReason(error)}`);
  const message = `${messageOf(error, code)} (PostgreSQL ${code})`;
  if (code === DISK_FULL) return new ControlError('disk_full', `${name}: ${message}`);
  if (code === IDLE_IN_TRANSACTION_TIMEOUT) {
    const reason = `the transaction was undone: it kept the store waiting for ${pauseMsMax} ms`;
    return new ControlError('timed_out', reason);
  }
  if (TIMEOUTS.has(code)) return new ControlError('timed_out', `${name}: ${message}`);
  if (COLLISIONS.has(code) || code === READ_ONLY || STORE_CLASSES.has(code.slice(0, 2))) {
    return new ControlError('store_unavailable', `${name}: ${message}`);
  }
  return new StatementError(message, sql, VIOLATIONS.get(code));
}

/** True when the very same statement may go through the next time. */
export function isCollision(error: unknown): boolean {
  return COLLISIONS.has(sqlStateOf(error) ?? '');
}

/** The SQLSTATE, or undefined for what did not come from the server. */
export function sqlStateOf(error: unknown): string | undefined {
  return error instanceof DatabaseError ? error.code : undefined;
}

function messageOf(error: unknown, code: string): string {
  return CLASSES_WITHOUT_VALUES.has(code.slice(0, 2)) && error instanceof Error ? error.message : 'refused';
}

/** Both addresses of a name refused: Node says so without a message. */
function connectionReason(error: unknown): string {
  if (!(error instanceof Error)) return 'the connection failed';
  if (error.message !== '') return error.message;
  return 'code' in error && typeof error.code === 'string' ? error.code : 'the connection failed';
}

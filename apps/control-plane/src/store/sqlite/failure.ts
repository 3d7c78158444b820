import type { Failure } from './messages.ts';

/** Primary result codes of SQLite (sqlite.org/rescode.html): the low byte of an extended code. */
const SQLITE_BUSY = 5;
const SQLITE_FULL = 13;

/** The file, the disk or the memory failed, not the statement: nothing in the outer transaction can be trusted. */
const STORAGE_CODES: ReadonlySet<number> = new Set([
  SQLITE_BUSY,
  7, // NOMEM
  8, // READONLY
  10, // IOERR
  11, // CORRUPT
  SQLITE_FULL,
  14, // CANTOPEN
  15, // PROTOCOL
  26, // NOTADB
]);

/** Sorts what node:sqlite threw into the statement's fault and the store's. */
export function failureOf(error: unknown, sql: string, path: string): Failure {
  const sqliteCode = sqliteCodeOf(error);
  const message = error instanceof Error ? error.message : String(error);
  if (STORAGE_CODES.has(sqliteCode & 0xff)) return storageFailure(sqliteCode, message, path);
  return { kind: 'statement', message, sqliteCode, sql };
}

/** Why a database could not be opened. */
export function openFailureOf(error: unknown, path: string): Failure {
  const sqliteCode = sqliteCodeOf(error);
  const message = error instanceof Error ? error.message : String(error);
  if ((sqliteCode & 0xff) === SQLITE_BUSY) {
    return { kind: 'store', code: 'conflict', message: `another control plane runs on ${path}` };
  }
  return storageFailure(sqliteCode, message, path);
}

function storageFailure(sqliteCode: number, message: string, path: string): Failure {
  const code = (sqliteCode & 0xff) === SQLITE_FULL ? 'disk_full' : 'store_unavailable';
  return { kind: 'store', code, message: `${path}: ${message} (SQLite ${sqliteCode})` };
}

/** The extended result code, or 0 when the error is not SQLite's. */
function sqliteCodeOf(error: unknown): number {
  if (error instanceof Error && 'errcode' in error && typeof error.errcode === 'number') return error.errcode;
  return 0;
}

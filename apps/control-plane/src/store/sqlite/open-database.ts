import { closeSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

/**
 * Opens `path` for this process alone, with every commit on disk before it returns. Throws SQLITE_BUSY when another
 * process has it.
 *
 * Never open the file a second time in this process, not even to read it: POSIX drops all locks of a process on a file
 * when any descriptor of it is closed.
 */
export function openDatabase(path: string): DatabaseSync {
  createPrivate(path);
  const database = new DatabaseSync(path, { timeout: 0, enableForeignKeyConstraints: true });
  try {
    // First, so that the journal needs no shared memory file, and the next line takes the lock for good.
    database.exec('PRAGMA locking_mode = EXCLUSIVE');
    database.exec('PRAGMA journal_mode = WAL');
    database.exec('PRAGMA synchronous = FULL');
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Only the owner may read the file; SQLite gives its journal the same mode. */
function createPrivate(path: string): void {
  try {
    closeSync(openSync(path, 'ax', 0o600));
  } catch (error) {
    // Not opened when it is there: closing it would drop our own lock, see above.
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
}

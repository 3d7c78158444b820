import { Kysely, sql } from 'kysely';
import type { Schema } from '../schema.ts';
import type { Snapshot } from '../store.ts';
import type { ConnectionSettings } from './connection-settings.ts';
import { StoreDialect } from './dialect.ts';
import type { InstanceLock } from './instance-lock.ts';
import { StorePool } from './store-pool.ts';

/** How long whoever reads a snapshot may take over one page; then PostgreSQL gives the transaction up. */
const READER_PAUSE_MS = 120_000;

/** One transaction that sees the database as it is now and changes nothing, on a connection of its own. */
export async function takeSnapshot(settings: ConnectionSettings, lock: InstanceLock): Promise<Snapshot> {
  const config = { ...settings.config, idle_in_transaction_session_timeout: READER_PAUSE_MS };
  const patient = { ...settings, config, pauseMsMax: READER_PAUSE_MS };
  const pool = new StorePool({ settings: patient, lock, connectionsMax: 1 });
  try {
    const db = await new Kysely<Schema>({ dialect: new StoreDialect({ pool }) })
      .startTransaction()
      .setIsolationLevel('repeatable read')
      .setAccessMode('read only')
      .execute();
    // PostgreSQL settles the moment with the first statement.
    await sql`select 1`.execute(db);
    // The pool undoes it, and closes the connection.
    return { db, [Symbol.asyncDispose]: () => pool.end() };
  } catch (error) {
    await pool.end();
    throw error;
  }
}

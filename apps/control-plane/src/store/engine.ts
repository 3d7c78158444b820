import { type Kysely, PostgresAdapter } from 'kysely';

/** The databases the store runs on. */
export type Engine = 'sqlite' | 'postgres';

/** Which engine is behind `db`, or behind the transaction it is. */
export function engineOf(db: Pick<Kysely<unknown>, 'getExecutor'>): Engine {
  return db.getExecutor().adapter instanceof PostgresAdapter ? 'postgres' : 'sqlite';
}

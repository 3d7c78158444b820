import { sql } from 'kysely';
import { engineOf } from './engine.ts';
import type { Db } from './store.ts';

/**
 * Keeps others from changing users and what roles they have until the transaction ends, so that what holds for all of them at once
 * can be looked at: that an admin is left, that there is nobody yet. Reading goes on. SQLite runs transactions one after the other
 * and needs no lock.
 */
export async function lockPeople(transaction: Db): Promise<void> {
  if (engineOf(transaction) === 'sqlite') return;
  await sql`lock table users in share row exclusive mode`.execute(transaction);
}

import { sql } from 'kysely';
import type { Selectable } from 'kysely';
import type { ApiTokensTable, JoinTokensTable, SignInSessionsTable } from './schema.ts';
import type { Db } from './store.ts';

export type JoinTokenRow = Selectable<JoinTokensTable>;
export type ApiTokenRow = Selectable<ApiTokensTable>;
export type SessionRow = Selectable<SignInSessionsTable>;

/** Rows of `join_tokens`, `api_tokens` and `sign_in_sessions`. Only hashes of secrets are here. */
export class TokensRepository {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  async insertJoinToken(row: JoinTokenRow): Promise<void> {
    await this.#db.insertInto('join_tokens').values(row).execute();
  }

  /** Newest first, older than `cursor` (an id). */
  listJoinTokens(limit: number, cursor: string | undefined): Promise<JoinTokenRow[]> {
    let query = this.#db.selectFrom('join_tokens').selectAll().orderBy('id', 'desc').limit(limit);
    if (cursor !== undefined) query = query.where('id', '<', cursor);
    return query.execute();
  }

  /** Takes one use, in one conditional UPDATE: of many at once, no more succeed than there are uses. */
  useJoinToken(id: string, secretHash: string, now: string): Promise<JoinTokenRow | undefined> {
    return this.#db
      .updateTable('join_tokens')
      .set({ uses_left: sql<number>`uses_left - 1` })
      .where('id', '=', id)
      .where('secret_hash', '=', secretHash)
      .where('uses_left', '>', 0)
      .where('expires_at', '>', now)
      .where('revoked_at', 'is', null)
      .returningAll()
      .executeTakeFirst();
  }

  async revokeJoinToken(id: string, now: string): Promise<boolean> {
    const done = await this.#db
      .updateTable('join_tokens')
      .set({ revoked_at: now })
      .where('id', '=', id)
      .where('revoked_at', 'is', null)
      .executeTakeFirst();
    return done.numUpdatedRows > 0n;
  }

  async insertApiToken(row: ApiTokenRow): Promise<void> {
    await this.#db.insertInto('api_tokens').values(row).execute();
  }

  findApiToken(secretHash: string): Promise<ApiTokenRow | undefined> {
    return this.#db.selectFrom('api_tokens').selectAll().where('secret_hash', '=', secretHash).executeTakeFirst();
  }

  findApiTokenById(id: string): Promise<ApiTokenRow | undefined> {
    return this.#db.selectFrom('api_tokens').selectAll().where('id', '=', id).executeTakeFirst();
  }

  /** Newest first, older than `cursor` (an id); of one user, or of all. */
  listApiTokens(limit: number, cursor: string | undefined, userId: string | undefined): Promise<ApiTokenRow[]> {
    let query = this.#db.selectFrom('api_tokens').selectAll().orderBy('id', 'desc').limit(limit);
    if (cursor !== undefined) query = query.where('id', '<', cursor);
    if (userId !== undefined) query = query.where('user_id', '=', userId);
    return query.execute();
  }

  async revokeApiToken(id: string, now: string): Promise<void> {
    await this.#db
      .updateTable('api_tokens')
      .set({ revoked_at: now })
      .where('id', '=', id)
      .where('revoked_at', 'is', null)
      .execute();
  }

  async touchApiToken(id: string, now: string): Promise<void> {
    await this.#db.updateTable('api_tokens').set({ last_used_at: now }).where('id', '=', id).execute();
  }

  async insertSession(row: SessionRow): Promise<void> {
    await this.#db.deleteFrom('sign_in_sessions').where('expires_at', '<=', row.created_at).execute();
    await this.#db.insertInto('sign_in_sessions').values(row).execute();
  }

  findSession(idHash: string): Promise<SessionRow | undefined> {
    return this.#db.selectFrom('sign_in_sessions').selectAll().where('id_hash', '=', idHash).executeTakeFirst();
  }

  /** The user's sessions, newest first. */
  listSessions(userId: string, limit: number): Promise<SessionRow[]> {
    return this.#db
      .selectFrom('sign_in_sessions')
      .selectAll()
      .where('user_id', '=', userId)
      .orderBy('created_at', 'desc')
      .limit(limit)
      .execute();
  }

  async touchSession(idHash: string, now: string): Promise<void> {
    await this.#db.updateTable('sign_in_sessions').set({ last_used_at: now }).where('id_hash', '=', idHash).execute();
  }

  async deleteSession(idHash: string): Promise<void> {
    await this.#db.deleteFrom('sign_in_sessions').where('id_hash', '=', idHash).execute();
  }

  /** All sessions of a user, except perhaps one. Returns how many there were. */
  async deleteSessionsOf(userId: string, exceptIdHash?: string): Promise<number> {
    let query = this.#db.deleteFrom('sign_in_sessions').where('user_id', '=', userId);
    if (exceptIdHash !== undefined) query = query.where('id_hash', '!=', exceptIdHash);
    return Number((await query.executeTakeFirst()).numDeletedRows);
  }
}

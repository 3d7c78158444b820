import { sql } from 'kysely';
import type { Selectable } from 'kysely';
import type { ApiTokensTable, JoinTokensTable } from './schema.ts';
import type { Db } from './store.ts';

export type JoinTokenRow = Selectable<JoinTokensTable>;
export type ApiTokenRow = Selectable<ApiTokensTable>;

/** Rows of `join_tokens`, `api_tokens` and `sign_in_sessions`. Only hashes of secrets are here. */
export class TokensRepository {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  async insertJoinToken(row: JoinTokenRow): Promise<void> {
    await this.#db.insertInto('join_tokens').values(row).execute();
  }

  /** Newest first. */
  listJoinTokens(limit: number): Promise<JoinTokenRow[]> {
    return this.#db.selectFrom('join_tokens').selectAll().orderBy('id', 'desc').limit(limit).execute();
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

  async countApiTokens(): Promise<number> {
    const row = await this.#db
      .selectFrom('api_tokens')
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .executeTakeFirstOrThrow();
    return row.count;
  }

  findApiToken(secretHash: string): Promise<ApiTokenRow | undefined> {
    return this.#db.selectFrom('api_tokens').selectAll().where('secret_hash', '=', secretHash).executeTakeFirst();
  }

  async insertSession(idHash: string, now: string, expiresAt: string): Promise<void> {
    await this.#db.deleteFrom('sign_in_sessions').where('expires_at', '<=', now).execute();
    await this.#db
      .insertInto('sign_in_sessions')
      .values({ id_hash: idHash, created_at: now, expires_at: expiresAt })
      .execute();
  }

  async hasSession(idHash: string, now: string): Promise<boolean> {
    const row = await this.#db
      .selectFrom('sign_in_sessions')
      .select('id_hash')
      .where('id_hash', '=', idHash)
      .where('expires_at', '>', now)
      .executeTakeFirst();
    return row !== undefined;
  }

  async deleteSession(idHash: string): Promise<void> {
    await this.#db.deleteFrom('sign_in_sessions').where('id_hash', '=', idHash).execute();
  }
}

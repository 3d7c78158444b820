import type { Selectable } from 'kysely';
import type { IdempotencyKeysTable } from './schema.ts';
import type { Db } from './store.ts';

export type IdempotencyKeyRow = Selectable<IdempotencyKeysTable>;

/** Rows of `idempotency_keys`. */
export class IdempotencyRepository {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  find(actor: string, key: string): Promise<IdempotencyKeyRow | undefined> {
    return this.#db
      .selectFrom('idempotency_keys')
      .selectAll()
      .where('actor', '=', actor)
      .where('key', '=', key)
      .executeTakeFirst();
  }

  async countOf(actor: string): Promise<number> {
    const { count } = await this.#db
      .selectFrom('idempotency_keys')
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .where('actor', '=', actor)
      .executeTakeFirstOrThrow();
    return count;
  }

  async insert(row: IdempotencyKeyRow): Promise<void> {
    await this.#db.insertInto('idempotency_keys').values(row).execute();
  }

  async finish(actor: string, key: string, status: number, answer: Uint8Array): Promise<void> {
    await this.#db
      .updateTable('idempotency_keys')
      .set({ state: 'done', status, answer })
      .where('actor', '=', actor)
      .where('key', '=', key)
      .execute();
  }

  async delete(actor: string, key: string): Promise<void> {
    await this.#db.deleteFrom('idempotency_keys').where('actor', '=', actor).where('key', '=', key).execute();
  }

  /** Returns how many there were. */
  async deleteBefore(createdAt: string): Promise<number> {
    const done = await this.#db.deleteFrom('idempotency_keys').where('created_at', '<', createdAt).executeTakeFirst();
    return Number(done.numDeletedRows);
  }
}

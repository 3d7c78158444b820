import type { Selectable, Updateable } from 'kysely';
import type { GroupsTable } from './bulk-schema.ts';
import type { Db } from './store.ts';

export type GroupRow = Selectable<GroupsTable>;

/** Rows of `groups`. */
export class GroupsRepository {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  async insert(row: GroupRow): Promise<void> {
    await this.#db.insertInto('groups').values(row).execute();
  }

  find(id: string): Promise<GroupRow | undefined> {
    return this.#db.selectFrom('groups').selectAll().where('id', '=', id).executeTakeFirst();
  }

  findByName(name: string): Promise<GroupRow | undefined> {
    return this.#db.selectFrom('groups').selectAll().where('name', '=', name).executeTakeFirst();
  }

  /** By name, after `cursor` (a name). */
  list(limit: number, cursor: string | undefined): Promise<GroupRow[]> {
    let query = this.#db.selectFrom('groups').selectAll().orderBy('name').limit(limit);
    if (cursor !== undefined) query = query.where('name', '>', cursor);
    return query.execute();
  }

  /** The changed row; undefined when there is none. */
  update(id: string, set: Updateable<GroupsTable>): Promise<GroupRow | undefined> {
    return this.#db.updateTable('groups').set(set).where('id', '=', id).returningAll().executeTakeFirst();
  }

  async delete(id: string): Promise<void> {
    await this.#db.deleteFrom('groups').where('id', '=', id).execute();
  }
}

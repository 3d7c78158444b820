import type { Selectable, Updateable } from 'kysely';
import type { RoleBindingsTable, RolesTable, UsersTable } from './schema.ts';
import type { Db } from './store.ts';

export type UserRow = Selectable<UsersTable>;
export type RoleRow = Selectable<RolesTable>;
export type RoleBindingRow = Selectable<RoleBindingsTable>;

/** Rows of `users`, `roles` and `role_bindings`. */
export class UsersRepository {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  async insert(row: UserRow): Promise<void> {
    await this.#db.insertInto('users').values(row).execute();
  }

  find(id: string): Promise<UserRow | undefined> {
    return this.#db.selectFrom('users').selectAll().where('id', '=', id).executeTakeFirst();
  }

  findByName(name: string): Promise<UserRow | undefined> {
    return this.#db.selectFrom('users').selectAll().where('name', '=', name).executeTakeFirst();
  }

  /** By name, after `cursor` (a name). */
  list(limit: number, cursor: string | undefined): Promise<UserRow[]> {
    let query = this.#db.selectFrom('users').selectAll().orderBy('name').limit(limit);
    if (cursor !== undefined) query = query.where('name', '>', cursor);
    return query.execute();
  }

  async exists(): Promise<boolean> {
    return (await this.#db.selectFrom('users').select('id').limit(1).executeTakeFirst()) !== undefined;
  }

  async update(id: string, set: Updateable<UsersTable>): Promise<void> {
    await this.#db.updateTable('users').set(set).where('id', '=', id).execute();
  }

  /** With what is the user's: bindings, sessions and tokens. Call it in a transaction. */
  async delete(id: string): Promise<void> {
    await this.#db.deleteFrom('role_bindings').where('user_id', '=', id).execute();
    await this.#db.deleteFrom('sign_in_sessions').where('user_id', '=', id).execute();
    await this.#db.deleteFrom('api_tokens').where('user_id', '=', id).execute();
    await this.#db.deleteFrom('users').where('id', '=', id).execute();
  }

  bindingsOf(userIds: readonly string[]): Promise<RoleBindingRow[]> {
    if (userIds.length === 0) return Promise.resolve([]);
    return this.#db
      .selectFrom('role_bindings')
      .selectAll()
      .where('user_id', 'in', userIds)
      .orderBy('role')
      .orderBy('selector')
      .execute();
  }

  /** Puts these bindings in the place of those there were. Call it in a transaction. */
  async replaceBindings(userId: string, bindings: readonly Omit<RoleBindingRow, 'user_id'>[]): Promise<void> {
    await this.#db.deleteFrom('role_bindings').where('user_id', '=', userId).execute();
    const rows = bindings.map(({ role, selector }) => ({ user_id: userId, role, selector }));
    if (rows.length > 0) await this.#db.insertInto('role_bindings').values(rows).execute();
  }

  /** Users who have this role for all agents and are not disabled. */
  async holdersOf(role: string): Promise<string[]> {
    const rows = await this.#db
      .selectFrom('role_bindings')
      .innerJoin('users', 'users.id', 'role_bindings.user_id')
      .select('users.id')
      .where('role', '=', role)
      .where('selector', '=', '')
      .where('disabled_at', 'is', null)
      .execute();
    return rows.map(({ id }) => id);
  }

  async insertRole(row: RoleRow): Promise<void> {
    await this.#db.insertInto('roles').values(row).execute();
  }

  findRole(name: string): Promise<RoleRow | undefined> {
    return this.#db.selectFrom('roles').selectAll().where('name', '=', name).executeTakeFirst();
  }

  listRoles(): Promise<RoleRow[]> {
    return this.#db.selectFrom('roles').selectAll().orderBy('name').execute();
  }

  async updateRole(name: string, set: Updateable<RolesTable>): Promise<boolean> {
    const done = await this.#db.updateTable('roles').set(set).where('name', '=', name).executeTakeFirst();
    return done.numUpdatedRows > 0n;
  }

  /** With its bindings. Call it in a transaction. */
  async deleteRole(name: string): Promise<boolean> {
    await this.#db.deleteFrom('role_bindings').where('role', '=', name).execute();
    const done = await this.#db.deleteFrom('roles').where('name', '=', name).executeTakeFirst();
    return done.numDeletedRows > 0n;
  }
}

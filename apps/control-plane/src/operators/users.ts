import type { Clock } from '@drawbridge/link';
import { ControlError, formatSelector, parseSelector } from '@drawbridge/protocol';
import type { RoleBinding, UserView } from '@drawbridge/protocol/api';
import type { Kysely } from 'kysely';
import type { Bus } from '../bus/bus.ts';
import type { Publish } from '../events/event-feed.ts';
import { lockPeople } from '../store/lock-people.ts';
import type { Schema } from '../store/schema.ts';
import { isUniqueViolation } from '../store/statement-error.ts';
import type { Db } from '../store/store.ts';
import { timestamp } from '../store/timestamp.ts';
import { UsersRepository } from '../store/users-repository.ts';
import type { RoleBindingRow, UserRow } from '../store/users-repository.ts';
import { isUuid, uuidv7 } from '../store/uuid.ts';
import type { Actor } from './actor.ts';
import { requireHolds } from './authorise.ts';
import { hashPassword, requireStrong, verifyPassword } from './password.ts';
import type { Roles } from './roles.ts';

export interface NewUser {
  readonly name: string;
  readonly password: string | undefined;
  readonly roles: readonly RoleBinding[];
}

export interface UserChange {
  readonly name?: string | undefined;
  readonly roles?: readonly RoleBinding[] | undefined;
  readonly disabled?: boolean | undefined;
  readonly password?: string | undefined;
}

export interface UsersOptions {
  readonly db: Kysely<Schema>;
  readonly roles: Roles;
  readonly bus: Bus;
  readonly publish: Publish;
  readonly clock: Clock;
}

/** People: who they are, what roles they have, how they prove it. There is always an admin left. */
export class Users {
  readonly #db: Kysely<Schema>;
  readonly #roles: Roles;
  readonly #bus: Bus;
  readonly #publish: Publish;
  readonly #clock: Clock;

  constructor({ db, roles, bus, publish, clock }: UsersOptions) {
    this.#db = db;
    this.#roles = roles;
    this.#bus = bus;
    this.#publish = publish;
    this.#clock = clock;
  }

  /** False until the first admin was made. */
  exist(): Promise<boolean> {
    return new UsersRepository(this.#db).exists();
  }

  /** Makes the admin of a new control plane. Throws ControlError `conflict` when there is a user already. */
  async createFirst(name: string, password: string | undefined): Promise<UserView> {
    const hash = await hashOf(password);
    return this.#insert({ name, hash, bindings: [{ role: 'admin', selector: '' }] }, async (trx) => {
      if (!(await new UsersRepository(trx).exists())) return;
      throw new ControlError('conflict', 'this control plane has its first admin already');
    });
  }

  /** Nobody gives rights they do not have. */
  async create(wanted: NewUser, actor: Actor): Promise<UserView> {
    const bindings = await this.#checked(wanted.roles, actor);
    return this.#insert({ name: wanted.name, hash: await hashOf(wanted.password), bindings });
  }

  /** By id or name. Throws ControlError `user_not_found`. */
  async find(idOrName: string): Promise<UserView> {
    const users = new UsersRepository(this.#db);
    const row = isUuid(idOrName) ? await users.find(idOrName) : await users.findByName(idOrName);
    if (row === undefined) throw new ControlError('user_not_found', `no user ${idOrName.slice(0, 64)}`);
    return userView(row, await users.bindingsOf([row.id]));
  }

  /** By name. */
  async list(limit: number, cursor: string | undefined): Promise<UserView[]> {
    const users = new UsersRepository(this.#db);
    const rows = await users.list(limit, cursor);
    const bindings = await users.bindingsOf(rows.map(({ id }) => id));
    return rows.map((row) => userView(row, bindings));
  }

  /** What changes takes effect within a second, on open connections too. */
  async update(id: string, change: UserChange, actor: Actor): Promise<UserView> {
    const before = await this.find(id);
    await this.requireMayActAs(before, actor);
    const bindings = change.roles === undefined ? undefined : await this.#checked(change.roles, actor);
    const passwordHash = await hashOf(change.password);
    const now = timestamp(this.#clock);
    const set = {
      updated_at: now,
      ...(change.name === undefined ? {} : { name: change.name }),
      ...(change.disabled === undefined ? {} : { disabled_at: change.disabled ? now : null }),
      ...(passwordHash === null ? {} : { password_hash: passwordHash }),
    };
    await this.#change(async (trx) => {
      const users = new UsersRepository(trx);
      await users.update(before.id, set);
      if (bindings !== undefined) await users.replaceBindings(before.id, bindings);
      await requireAdminLeft(users);
    }, change.name);
    return this.#told('user.changed', await this.find(before.id));
  }

  async delete(id: string, actor: Actor): Promise<void> {
    const before = await this.find(id);
    await this.requireMayActAs(before, actor);
    await this.#change(async (trx) => {
      const users = new UsersRepository(trx);
      await users.delete(before.id);
      await requireAdminLeft(users);
    });
    this.#told('user.deleted', before);
  }

  /** Whoever may not give a right may not take over, shut out or strip somebody who has it either. */
  async requireMayActAs(user: Pick<UserView, 'roles'>, actor: Actor): Promise<void> {
    for (const { role, selector } of user.roles) await this.#requireMayGive(role, selector, actor);
  }

  /** The user whose password this is; undefined when it is not, taking as long for a name that nobody has. */
  async verify(name: string, password: string): Promise<UserRow | undefined> {
    const row = await new UsersRepository(this.#db).findByName(name);
    const isRight = await verifyPassword(password, row?.password_hash ?? null);
    return isRight && row?.disabled_at === null ? row : undefined;
  }

  /** The user's own wish. One who has a password proves to know it first. */
  async changePassword(userId: string, current: string | undefined, next: string): Promise<void> {
    const users = new UsersRepository(this.#db);
    const row = await users.find(userId);
    if (row === undefined) throw new ControlError('user_not_found', `no user ${userId}`);
    if (row.password_hash !== null && !(await verifyPassword(current ?? '', row.password_hash))) {
      throw new ControlError('forbidden', 'the current password is not right');
    }
    await users.update(userId, { password_hash: await hashOf(next), updated_at: timestamp(this.#clock) });
  }

  async #insert(
    user: { name: string; hash: string | null; bindings: readonly RoleBinding[] },
    first: (trx: Db) => Promise<void> = () => Promise.resolve(),
  ): Promise<UserView> {
    const now = timestamp(this.#clock);
    const id = uuidv7(this.#clock.now());
    await this.#change(async (trx) => {
      await first(trx);
      const users = new UsersRepository(trx);
      await users.insert({
        id,
        name: user.name,
        password_hash: user.hash,
        disabled_at: null,
        last_sign_in_at: null,
        created_at: now,
        updated_at: now,
      });
      await users.replaceBindings(id, user.bindings);
    }, user.name);
    return this.#told('user.created', await this.find(id));
  }

  #told(type: 'user.created' | 'user.changed' | 'user.deleted', user: UserView): UserView {
    this.#publish({ type, resource: `user:${user.id}`, data: { ...user } });
    return user;
  }

  async #change(work: (trx: Db) => Promise<void>, name?: string): Promise<void> {
    try {
      await this.#db.transaction().execute(async (trx) => {
        await lockPeople(trx);
        await work(trx);
      });
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      throw new ControlError('conflict', `there is a user ${name ?? ''} already`, { cause: error });
    }
    this.#bus.publish('access');
  }

  /** The bindings, in one way of writing and each once; all roles exist, and are the actor's to give. */
  async #checked(roles: readonly RoleBinding[], actor: Actor): Promise<RoleBinding[]> {
    const bindings = new Map<string, RoleBinding>();
    for (const { role, selector: text } of roles) {
      const selector = formatSelector(parseSelector(text));
      await this.#requireMayGive(role, selector, actor);
      bindings.set(`${role} ${selector}`, { role, selector });
    }
    return [...bindings.values()];
  }

  async #requireMayGive(role: string, selector: string, actor: Actor): Promise<void> {
    const { verbs } = await this.#roles.find(role);
    requireHolds(actor, verbs, parseSelector(selector));
  }
}

async function requireAdminLeft(users: UsersRepository): Promise<void> {
  if ((await users.holdersOf('admin')).length > 0) return;
  throw new ControlError('conflict', 'this would leave nobody who is an admin of all agents');
}

async function hashOf(password: string | undefined): Promise<string | null> {
  if (password === undefined) return null;
  requireStrong(password);
  return hashPassword(password);
}

function userView(row: UserRow, bindings: readonly RoleBindingRow[]): UserView {
  return {
    id: row.id,
    name: row.name,
    roles: bindings
      .filter(({ user_id: userId }) => userId === row.id)
      .map(({ role, selector }) => ({ role, selector })),
    disabled: row.disabled_at !== null,
    has_password: row.password_hash !== null,
    created_at: row.created_at,
    last_sign_in_at: row.last_sign_in_at,
  };
}

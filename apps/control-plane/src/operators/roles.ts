import type { Clock } from '@drawbridge/link';
import { ControlError } from '@drawbridge/protocol';
import { BUILT_IN_ROLES, Verb } from '@drawbridge/protocol/api';
import type { RoleView } from '@drawbridge/protocol/api';
import type { Kysely } from 'kysely';
import { z } from 'zod';
import type { Bus } from '../bus/bus.ts';
import type { Publish } from '../events/event-feed.ts';
import type { Schema } from '../store/schema.ts';
import { isUniqueViolation } from '../store/statement-error.ts';
import { timestamp } from '../store/timestamp.ts';
import { UsersRepository } from '../store/users-repository.ts';
import type { RoleRow } from '../store/users-repository.ts';
import type { Actor } from './actor.ts';
import { requireHolds } from './authorise.ts';

const DESCRIPTIONS = {
  viewer: 'Sees agents, tasks and what they wrote.',
  operator: 'Runs tasks, opens terminals and tunnels, works with files and containers.',
  admin: 'Everything, people and rights included.',
} as const;

/** Roles: the three built-in ones, and those people make. Nobody makes one that can do more than they can. */
export class Roles {
  readonly #db: Kysely<Schema>;
  readonly #bus: Bus;
  readonly #publish: Publish;
  readonly #clock: Clock;

  constructor({ db, bus, publish, clock }: { db: Kysely<Schema>; bus: Bus; publish: Publish; clock: Clock }) {
    this.#db = db;
    this.#bus = bus;
    this.#publish = publish;
    this.#clock = clock;
  }

  /** The built-in ones first. */
  async list(): Promise<RoleView[]> {
    return [...BUILT_IN, ...(await new UsersRepository(this.#db).listRoles()).map(roleView)];
  }

  /** Throws ControlError `role_not_found`. */
  async find(name: string): Promise<RoleView> {
    const builtIn = BUILT_IN.find((role) => role.name === name);
    if (builtIn !== undefined) return builtIn;
    const row = await new UsersRepository(this.#db).findRole(name);
    if (row === undefined) throw new ControlError('role_not_found', `no role ${name}`);
    return roleView(row);
  }

  async create(role: { name: string; description: string; verbs: readonly Verb[] }, actor: Actor): Promise<RoleView> {
    this.#requireCustom(role.name);
    requireHolds(actor, role.verbs, []);
    const row: RoleRow = {
      name: role.name,
      description: role.description,
      verbs: JSON.stringify(role.verbs),
      created_at: timestamp(this.#clock),
    };
    try {
      await new UsersRepository(this.#db).insertRole(row);
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      throw new ControlError('conflict', `there is a role ${role.name} already`, { cause: error });
    }
    return this.#told('role.created', roleView(row));
  }

  /** Changes what the role gives, for all who have it, within a second. */
  async update(
    name: string,
    change: { description?: string | undefined; verbs?: readonly Verb[] | undefined },
    actor: Actor,
  ): Promise<RoleView> {
    this.#requireCustom(name);
    const before = await this.find(name);
    if (change.verbs !== undefined) requireHolds(actor, [...before.verbs, ...change.verbs], []);
    const { description = before.description, verbs = before.verbs } = change;
    await new UsersRepository(this.#db).updateRole(name, { description, verbs: JSON.stringify(verbs) });
    this.#bus.publish('access');
    return this.#told('role.changed', await this.find(name));
  }

  /** With what it gave to anybody: nobody takes from others what they do not have themselves. */
  async delete(name: string, actor: Actor): Promise<void> {
    this.#requireCustom(name);
    requireHolds(actor, (await this.find(name)).verbs, []);
    const done = await this.#db.transaction().execute((trx) => new UsersRepository(trx).deleteRole(name));
    if (!done) throw new ControlError('role_not_found', `no role ${name}`);
    this.#bus.publish('access');
    this.#publish({ type: 'role.deleted', resource: `role:${name}`, data: { name } });
  }

  #told(type: 'role.created' | 'role.changed', role: RoleView): RoleView {
    this.#publish({ type, resource: `role:${role.name}`, data: { ...role } });
    return role;
  }

  #requireCustom(name: string): void {
    if (Object.hasOwn(BUILT_IN_ROLES, name)) {
      throw new ControlError('conflict', `${name} is a built-in role: it stays as it is`);
    }
  }
}

const BUILT_IN: readonly RoleView[] = (['viewer', 'operator', 'admin'] as const).map((name) => ({
  name,
  description: DESCRIPTIONS[name],
  verbs: [...BUILT_IN_ROLES[name]],
  built_in: true,
}));

function roleView(row: RoleRow): RoleView {
  const verbs = z.array(Verb).parse(JSON.parse(row.verbs));
  return { name: row.name, description: row.description, verbs, built_in: false };
}

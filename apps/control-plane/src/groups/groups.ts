import type { Clock } from '@drawbridge/link';
import { ControlError, formatSelector, parseSelector } from '@drawbridge/protocol';
import type { GroupView } from '@drawbridge/protocol/api';
import type { Kysely } from 'kysely';
import type { Publish } from '../events/event-feed.ts';
import { actorText } from '../operators/actor.ts';
import type { Actor } from '../operators/actor.ts';
import { GroupsRepository } from '../store/groups-repository.ts';
import type { GroupRow } from '../store/groups-repository.ts';
import type { Schema } from '../store/schema.ts';
import { isUniqueViolation } from '../store/statement-error.ts';
import { timestamp } from '../store/timestamp.ts';
import { isUuid, uuidv7 } from '../store/uuid.ts';

/** What a group is: every part of it may change. */
export interface GroupFacts {
  readonly name: string;
  readonly selector: string;
  readonly description: string;
}

/** Groups: selectors under a name. Which agents are in one is decided anew each time it is used. */
export class Groups {
  readonly #db: Kysely<Schema>;
  readonly #publish: Publish;
  readonly #clock: Clock;

  constructor({ db, publish, clock }: { db: Kysely<Schema>; publish: Publish; clock: Clock }) {
    this.#db = db;
    this.#publish = publish;
    this.#clock = clock;
  }

  /** By name. */
  async list(limit: number, cursor: string | undefined): Promise<GroupView[]> {
    return (await new GroupsRepository(this.#db).list(limit, cursor)).map(groupView);
  }

  /** By id or name. Throws ControlError `group_not_found`. */
  async find(idOrName: string): Promise<GroupView> {
    const groups = new GroupsRepository(this.#db);
    const row = isUuid(idOrName) ? await groups.find(idOrName) : await groups.findByName(idOrName);
    if (row === undefined) throw groupNotFound(idOrName);
    return groupView(row);
  }

  /** Throws ControlError `conflict` when the name is taken, `invalid_request` for a selector that is none. */
  async create(wanted: GroupFacts, actor: Actor): Promise<GroupView> {
    const now = timestamp(this.#clock);
    const row: GroupRow = {
      id: uuidv7(this.#clock.now()),
      name: wanted.name,
      selector: oneWayOfWriting(wanted.selector),
      description: wanted.description,
      created_by: actorText(actor),
      created_at: now,
      updated_at: now,
    };
    await new GroupsRepository(this.#db).insert(row).catch((error: unknown) => {
      throw nameTaken(error, row.name);
    });
    return this.#told('group.created', groupView(row));
  }

  /** Throws like `create`. What was asked of the group before stays as it is. */
  async update(id: string, change: { readonly [Key in keyof GroupFacts]?: string | undefined }): Promise<GroupView> {
    const { name, selector, description } = change;
    const set = {
      updated_at: timestamp(this.#clock),
      ...(name === undefined ? {} : { name }),
      ...(selector === undefined ? {} : { selector: oneWayOfWriting(selector) }),
      ...(description === undefined ? {} : { description }),
    };
    const row = await new GroupsRepository(this.#db).update(id, set).catch((error: unknown) => {
      throw nameTaken(error, name ?? '');
    });
    if (row === undefined) throw groupNotFound(id);
    return this.#told('group.changed', groupView(row));
  }

  /** The agents stay; so does what was asked of them. */
  async delete(id: string): Promise<void> {
    await new GroupsRepository(this.#db).delete(id);
    this.#publish({ type: 'group.deleted', resource: `group:${id}`, data: {} });
  }

  #told(type: 'group.created' | 'group.changed', group: GroupView): GroupView {
    this.#publish({ type, resource: `group:${group.id}`, data: { ...group } });
    return group;
  }
}

function oneWayOfWriting(selector: string): string {
  return formatSelector(parseSelector(selector));
}

function groupNotFound(asked: string): ControlError {
  return new ControlError('group_not_found', `no group ${asked.slice(0, 64)}`);
}

function nameTaken(error: unknown, name: string): unknown {
  if (!isUniqueViolation(error)) return error;
  return new ControlError('conflict', `there is a group ${name} already`, { cause: error });
}

function groupView({ created_by: _by, ...row }: GroupRow): GroupView {
  return row;
}

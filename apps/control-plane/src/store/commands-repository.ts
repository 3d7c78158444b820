import type { Selectable, Updateable } from 'kysely';
import { engineOf } from './engine.ts';
import type { CommandsTable } from './schema.ts';
import type { Db, Fence } from './store.ts';

export type CommandRow = Selectable<CommandsTable>;

/** A move of one command: only from `from`, and, when an agent asks for it, only on its newest connection. */
export interface Move {
  readonly id: string;
  readonly from: readonly CommandRow['state'][];
  readonly set: Updateable<CommandsTable> & { readonly state: CommandRow['state'] };
  readonly fence?: Fence;
}

/** Rows of `commands`. */
export class CommandsRepository {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  async insert(row: CommandRow): Promise<void> {
    await this.#db.insertInto('commands').values(row).execute();
  }

  find(id: string): Promise<CommandRow | undefined> {
    return this.#db.selectFrom('commands').selectAll().where('id', '=', id).executeTakeFirst();
  }

  /** The moved row, or undefined when the command was not in one of the states, or the connection is not the newest. */
  move({ id, from, set, fence }: Move): Promise<CommandRow | undefined> {
    let query = this.#db.updateTable('commands').set(set).where('id', '=', id).where('state', 'in', from);
    if (fence !== undefined) {
      query = query.where('agent_id', '=', fence.agentId).where((where) =>
        where.exists(
          where
            .selectFrom('agents')
            .select('agent_id')
            .where('agent_id', '=', fence.agentId)
            .where('epoch', '=', fence.epoch)
            // A newer connection that comes meanwhile waits for this move, and sees it, or this move sees it.
            .$if(engineOf(this.#db) === 'postgres', (agent) => agent.forShare()),
        ),
      );
    }
    return query.returningAll().executeTakeFirst();
  }

  /** The agent's commands in these states, oldest first. */
  ofAgent(agentId: string, states: readonly CommandRow['state'][], limit: number): Promise<CommandRow[]> {
    return this.#db
      .selectFrom('commands')
      .selectAll()
      .where('agent_id', '=', agentId)
      .where('state', 'in', states)
      .orderBy('id')
      .limit(limit)
      .execute();
  }

  async countOfAgent(agentId: string, states: readonly CommandRow['state'][]): Promise<number> {
    const row = await this.#db
      .selectFrom('commands')
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .where('agent_id', '=', agentId)
      .where('state', 'in', states)
      .executeTakeFirstOrThrow();
    return row.count;
  }

  /** Queued commands past their time to live. */
  overdueInQueue(now: string, limit: number): Promise<CommandRow[]> {
    return this.#db
      .selectFrom('commands')
      .selectAll()
      .where('state', '=', 'queued')
      .where('expires_at', '<=', now)
      .limit(limit)
      .execute();
  }

  /** Delivered commands past their time limit. */
  overdueAtAgent(now: string, limit: number): Promise<CommandRow[]> {
    return this.#db
      .selectFrom('commands')
      .selectAll()
      .where('state', 'in', ['delivered', 'running'])
      .where('deadline_at', '<=', now)
      .limit(limit)
      .execute();
  }

  /** Remembers that somebody wants it cancelled; undefined when it has its outcome already. */
  requestCancel(id: string, unfinished: readonly CommandRow['state'][], now: string): Promise<CommandRow | undefined> {
    return this.#db
      .updateTable('commands')
      .set({ cancel_requested_at: now })
      .where('id', '=', id)
      .where('state', 'in', unfinished)
      .returningAll()
      .executeTakeFirst();
  }
}

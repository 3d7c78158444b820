import type { Selectable } from 'kysely';
import type { AgentHealthTable } from './schema.ts';
import type { Db } from './store.ts';

export type HealthRow = Selectable<AgentHealthTable>;

/** Which rows of an agent are wanted: `since` and later, before `until`, after `after`. */
export interface HealthQuery {
  readonly agentId: string;
  readonly since: string | undefined;
  readonly until: string | undefined;
  readonly after: string | undefined;
  readonly limit: number;
}

/** Rows of `agent_health`. */
export class HealthRepository {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  /** One statement for many agents. A moment that is there already stays as it is. */
  async insert(rows: readonly HealthRow[]): Promise<void> {
    if (rows.length === 0) return;
    await this.#db
      .insertInto('agent_health')
      .values(rows)
      .onConflict((conflict) => conflict.columns(['agent_id', 'at']).doNothing())
      .execute();
  }

  /** The oldest first. */
  list({ agentId, since, until, after, limit }: HealthQuery): Promise<HealthRow[]> {
    let query = this.#db
      .selectFrom('agent_health')
      .selectAll()
      .where('agent_id', '=', agentId)
      .orderBy('at')
      .limit(limit);
    if (since !== undefined) query = query.where('at', '>=', since);
    if (until !== undefined) query = query.where('at', '<', until);
    if (after !== undefined) query = query.where('at', '>', after);
    return query.execute();
  }

  /** When the oldest row of all was written. */
  async oldest(): Promise<string | undefined> {
    const row = await this.#db.selectFrom('agent_health').select('at').orderBy('at').limit(1).executeTakeFirst();
    return row?.at;
  }

  async deleteBefore(at: string): Promise<void> {
    await this.#db.deleteFrom('agent_health').where('at', '<', at).execute();
  }
}

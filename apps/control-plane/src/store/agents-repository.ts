import { sql } from 'kysely';
import type { Selectable } from 'kysely';
import type { Labels } from '@drawbridge/protocol';
import { labelsAllow } from './label-filter.ts';
import type { LabelFilter } from './label-filter.ts';
import type { AgentsTable } from './schema.ts';
import type { Db, Fence } from './store.ts';

export type AgentRow = Selectable<AgentsTable>;

/** What an agent says of itself when it signs in. */
export interface AgentFacts {
  readonly version: string;
  readonly os: string | null;
  readonly arch: string | null;
  readonly capabilities: string;
  /** Left as it is when the agent does not say. */
  readonly machine_id?: string;
}

/** Rows of `agents`. */
export class AgentsRepository {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  /** Call it in a transaction: the agent's labels are rows of their own. */
  async insert(row: Omit<AgentRow, 'epoch'>): Promise<void> {
    await this.#db.insertInto('agents').values(row).execute();
    await this.#insertLabels(row.agent_id, JSON.parse(row.labels) as Labels);
  }

  find(agentId: string): Promise<AgentRow | undefined> {
    return this.#db.selectFrom('agents').selectAll().where('agent_id', '=', agentId).executeTakeFirst();
  }

  findByName(name: string): Promise<AgentRow | undefined> {
    return this.#db.selectFrom('agents').selectAll().where('name', '=', name).executeTakeFirst();
  }

  /** Agents that have not been revoked. */
  async countOnMachine(machineId: string): Promise<number> {
    const { count } = await this.#db
      .selectFrom('agents')
      .select(({ fn }) => fn.countAll<number | string>().as('count'))
      .where('machine_id', '=', machineId)
      .where('status', '!=', 'revoked')
      .executeTakeFirstOrThrow();
    return Number(count);
  }

  /** By name, after `cursor` (a name): those that all of `filters` let through. */
  list(
    page: { limit: number; cursor: string | undefined },
    filters: readonly LabelFilter[],
    status?: 'online' | 'offline',
  ): Promise<AgentRow[]> {
    let query = this.#db
      .selectFrom('agents')
      .selectAll()
      .where('status', '!=', 'revoked')
      .orderBy('name')
      .limit(page.limit);
    if (page.cursor !== undefined) query = query.where('name', '>', page.cursor);
    if (status !== undefined) query = query.where('status', '=', status === 'online' ? 'connected' : 'disconnected');
    for (const filter of filters) query = query.where(labelsAllow('agents.agent_id', filter));
    return query.execute();
  }

  /** Call it in a transaction. False when there is no such agent (any more). */
  async update(agentId: string, change: { name?: string; labels?: Labels }, now: string): Promise<boolean> {
    const { name, labels } = change;
    const set = {
      updated_at: now,
      ...(name === undefined ? {} : { name }),
      ...(labels === undefined ? {} : { labels: JSON.stringify(labels) }),
    };
    const done = await this.#db
      .updateTable('agents')
      .set(set)
      .where('agent_id', '=', agentId)
      .where('status', '!=', 'revoked')
      .executeTakeFirst();
    if (done.numUpdatedRows === 0n) return false;
    if (labels !== undefined) {
      await this.#db.deleteFrom('agent_labels').where('agent_id', '=', agentId).execute();
      await this.#insertLabels(agentId, labels);
    }
    return true;
  }

  async #insertLabels(agentId: string, labels: Labels): Promise<void> {
    const rows = Object.entries(labels).map(([key, value]) => ({ agent_id: agentId, key, value }));
    if (rows.length > 0) await this.#db.insertInto('agent_labels').values(rows).execute();
  }

  /** Gives the new connection its epoch; undefined when the agent is gone or revoked. */
  async connect(agentId: string, facts: AgentFacts, now: string): Promise<number | undefined> {
    const row = await this.#db
      .updateTable('agents')
      .set({
        ...facts,
        status: 'connected',
        epoch: sql<number>`epoch + 1`,
        connected_at: now,
        last_heartbeat: now,
        updated_at: now,
      })
      .where('agent_id', '=', agentId)
      .where('status', '!=', 'revoked')
      .returning('epoch')
      .executeTakeFirst();
    return row?.epoch;
  }

  /** Marks the agent offline, unless a newer connection has taken over. */
  async disconnect(fence: Fence, now: string): Promise<void> {
    await this.#db
      .updateTable('agents')
      .set({ status: 'disconnected', disconnected_at: now, updated_at: now })
      .where('agent_id', '=', fence.agentId)
      .where('epoch', '=', fence.epoch)
      .where('status', '=', 'connected')
      .execute();
  }

  /** After a start nobody is connected, whatever the last process left behind. */
  async disconnectAll(now: string): Promise<void> {
    await this.#db
      .updateTable('agents')
      .set({ status: 'disconnected', disconnected_at: now })
      .where('status', '=', 'connected')
      .execute();
  }

  /** One write for many agents. */
  async touchHeartbeats(agentIds: readonly string[], now: string): Promise<void> {
    await this.#db.updateTable('agents').set({ last_heartbeat: now }).where('agent_id', 'in', agentIds).execute();
  }

  /** Revokes for good: no later connection is accepted, and the name is free again. False when there was nothing to revoke. */
  async revoke(agentId: string, now: string): Promise<boolean> {
    const done = await this.#db
      .updateTable('agents')
      .set({
        status: 'revoked',
        name: sql<string>`'revoked--' || agent_id`,
        epoch: sql<number>`epoch + 1`,
        disconnected_at: now,
        updated_at: now,
      })
      .where('agent_id', '=', agentId)
      .where('status', '!=', 'revoked')
      .executeTakeFirst();
    return done.numUpdatedRows > 0n;
  }
}

import { sql } from 'kysely';
import type { Selectable } from 'kysely';
import type { AgentsTable } from './schema.ts';
import type { Db, Fence } from './store.ts';

export type AgentRow = Selectable<AgentsTable>;

/** What an agent says of itself when it signs in. */
export interface AgentFacts {
  readonly version: string;
  readonly os: string | null;
  readonly arch: string | null;
  readonly capabilities: string;
}

/** Rows of `agents`. */
export class AgentsRepository {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  async insert(row: Omit<AgentRow, 'epoch'>): Promise<void> {
    await this.#db.insertInto('agents').values(row).execute();
  }

  find(agentId: string): Promise<AgentRow | undefined> {
    return this.#db.selectFrom('agents').selectAll().where('agent_id', '=', agentId).executeTakeFirst();
  }

  findByName(name: string): Promise<AgentRow | undefined> {
    return this.#db.selectFrom('agents').selectAll().where('name', '=', name).executeTakeFirst();
  }

  /** By name, after `cursor` (a name). */
  list(limit: number, cursor: string | undefined): Promise<AgentRow[]> {
    let query = this.#db.selectFrom('agents').selectAll().where('status', '!=', 'revoked').orderBy('name').limit(limit);
    if (cursor !== undefined) query = query.where('name', '>', cursor);
    return query.execute();
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

import type { Selectable, Updateable } from 'kysely';
import type { AgentSettingsTable } from './schema.ts';
import type { Db } from './store.ts';

export type AgentSettingsRow = Selectable<AgentSettingsTable>;

/** Rows of `agent_settings`. */
export class AgentSettingsRepository {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  find(agentId: string): Promise<AgentSettingsRow | undefined> {
    return this.#db.selectFrom('agent_settings').selectAll().where('agent_id', '=', agentId).executeTakeFirst();
  }

  async put(row: AgentSettingsRow): Promise<void> {
    const { agent_id: _agentId, ...set } = row;
    await this.#db
      .insertInto('agent_settings')
      .values(row)
      .onConflict((conflict) => conflict.column('agent_id').doUpdateSet(set))
      .execute();
  }

  async update(agentId: string, set: Updateable<AgentSettingsTable>): Promise<void> {
    await this.#db.updateTable('agent_settings').set(set).where('agent_id', '=', agentId).execute();
  }

  async delete(agentId: string): Promise<void> {
    await this.#db.deleteFrom('agent_settings').where('agent_id', '=', agentId).execute();
  }
}

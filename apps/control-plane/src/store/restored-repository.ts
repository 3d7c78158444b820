import type { Updateable } from 'kysely';
import type { BulkRunRow } from './bulk-runs-repository.ts';
import type { CommandRow } from './commands-repository.ts';
import type { CommandsTable, TasksTable } from './schema.ts';
import type { Db } from './store.ts';

/** Why something has no better outcome, and since when. */
export interface Unknown {
  readonly error_code: string;
  readonly error_message: string;
  readonly ended_at: string;
}

/** Changes to all rows at once that only a store has that was just put back. Each resolves with how many there were. */
export class RestoredRepository {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  async endCommands(states: readonly CommandRow['state'][], set: Updateable<CommandsTable>): Promise<number> {
    const query = this.#db.updateTable('commands').set(set).where('state', 'in', states);
    return Number((await query.executeTakeFirst()).numUpdatedRows);
  }

  async endTasks(states: readonly string[], set: Updateable<TasksTable>): Promise<number> {
    const query = this.#db.updateTable('tasks').set(set).where('state', 'in', states);
    return Number((await query.executeTakeFirst()).numUpdatedRows);
  }

  /** Also those that had not begun: they may have, after the backup was taken. */
  async endTargets(set: Unknown): Promise<void> {
    await this.#db
      .updateTable('bulk_targets')
      .set({ ...set, state: 'indeterminate' })
      .where('state', 'in', ['waiting', 'started'])
      .execute();
  }

  async endBulkRuns(from: BulkRunRow['state'], to: BulkRunRow['state'], endedAt: string): Promise<number> {
    const query = this.#db
      .updateTable('bulk_runs')
      .set({ state: to, content: null, ended_at: endedAt })
      .where('state', '=', from);
    return Number((await query.executeTakeFirst()).numUpdatedRows);
  }

  /** Leases that had not ended: nobody is connected to them, and their epochs go on higher than anybody has seen. */
  async graceLeases(now: string, epochsSkipped: number): Promise<number> {
    const query = this.#db
      .updateTable('tunnel_leases')
      .set(({ eb }) => ({ state: 'grace', grace_since: now, epoch: eb('epoch', '+', epochsSkipped) }))
      .where('state', 'in', ['pending', 'active', 'grace']);
    return Number((await query.executeTakeFirst()).numUpdatedRows);
  }

  async endSessions(): Promise<number> {
    return Number((await this.#db.deleteFrom('sign_in_sessions').executeTakeFirst()).numDeletedRows);
  }

  /** Those that could still be used. */
  async revokeJoinTokens(now: string): Promise<number> {
    const query = this.#db
      .updateTable('join_tokens')
      .set({ revoked_at: now })
      .where('revoked_at', 'is', null)
      .where('uses_left', '>', 0)
      .where('expires_at', '>', now);
    return Number((await query.executeTakeFirst()).numUpdatedRows);
  }
}

import type { Selectable, Updateable } from 'kysely';
import type { TasksTable } from './schema.ts';
import type { Db } from './store.ts';

export type TaskRow = Selectable<TasksTable>;

/** Rows of `tasks`. */
export class TasksRepository {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  async insert(row: TaskRow): Promise<void> {
    await this.#db.insertInto('tasks').values(row).execute();
  }

  find(id: string): Promise<TaskRow | undefined> {
    return this.#db.selectFrom('tasks').selectAll().where('id', '=', id).executeTakeFirst();
  }

  findByKey(createdBy: string, idempotencyKey: string): Promise<TaskRow | undefined> {
    return this.#db
      .selectFrom('tasks')
      .selectAll()
      .where('created_by', '=', createdBy)
      .where('idempotency_key', '=', idempotencyKey)
      .executeTakeFirst();
  }

  /** Newest first, older than `cursor` (an id). */
  list(limit: number, cursor: string | undefined, agentId: string | undefined): Promise<TaskRow[]> {
    let query = this.#db.selectFrom('tasks').selectAll().orderBy('id', 'desc').limit(limit);
    if (cursor !== undefined) query = query.where('id', '<', cursor);
    if (agentId !== undefined) query = query.where('agent_id', '=', agentId);
    return query.execute();
  }

  /** The changed row, or undefined when the task was not in one of the states `from`. */
  move(where: { id: string } | { commandId: string }, from: readonly string[], set: Updateable<TasksTable>) {
    let query = this.#db.updateTable('tasks').set(set).where('state', 'in', from);
    query = 'id' in where ? query.where('id', '=', where.id) : query.where('command_id', '=', where.commandId);
    return query.returningAll().executeTakeFirst();
  }
}

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

  findByCommand(commandId: string): Promise<TaskRow | undefined> {
    return this.#db.selectFrom('tasks').selectAll().where('command_id', '=', commandId).executeTakeFirst();
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
  move(id: string, from: readonly string[], set: Updateable<TasksTable>): Promise<TaskRow | undefined> {
    return this.#db
      .updateTable('tasks')
      .set(set)
      .where('id', '=', id)
      .where('state', 'in', from)
      .returningAll()
      .executeTakeFirst();
  }
}

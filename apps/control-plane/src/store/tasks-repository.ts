import type { Selectable, Updateable } from 'kysely';
import { labelsAllow } from './label-filter.ts';
import type { LabelFilter } from './label-filter.ts';
import type { TasksTable } from './schema.ts';
import type { Db } from './store.ts';

export type TaskRow = Selectable<TasksTable>;

/** Which tasks a list is to show: of agents that pass every one of `labels`. */
export interface TaskFilter {
  readonly agentId: string | undefined;
  readonly state: string | undefined;
  readonly labels: readonly LabelFilter[];
}

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
  list(page: { limit: number; cursor: string | undefined }, filter: TaskFilter): Promise<TaskRow[]> {
    let query = this.#db.selectFrom('tasks').selectAll().orderBy('id', 'desc').limit(page.limit);
    if (page.cursor !== undefined) query = query.where('id', '<', page.cursor);
    if (filter.agentId !== undefined) query = query.where('agent_id', '=', filter.agentId);
    if (filter.state !== undefined) query = query.where('state', '=', filter.state);
    for (const labels of filter.labels) query = query.where(labelsAllow('tasks.agent_id', labels));
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

import { sql } from 'kysely';
import type { Selectable, Updateable } from 'kysely';
import type { BulkRunsTable } from './bulk-schema.ts';
import { labelsAllow } from './label-filter.ts';
import type { LabelFilter } from './label-filter.ts';
import type { Db } from './store.ts';

export type BulkRunRow = Selectable<BulkRunsTable>;

/** The agents on which somebody may read what a run does: tasks and commands are two rights. */
export interface BulkScope {
  readonly tasks: LabelFilter;
  readonly commands: LabelFilter;
}

/** Rows of `bulk_runs`. */
export class BulkRunsRepository {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  async insert(row: BulkRunRow): Promise<void> {
    await this.#db.insertInto('bulk_runs').values(row).execute();
  }

  find(id: string): Promise<BulkRunRow | undefined> {
    return this.#db.selectFrom('bulk_runs').selectAll().where('id', '=', id).executeTakeFirst();
  }

  /** Newest first, older than `cursor` (an id): those with a target within the scope. */
  list(page: { limit: number; cursor: string | undefined }, scope: BulkScope): Promise<BulkRunRow[]> {
    let query = this.#db
      .selectFrom('bulk_runs')
      .selectAll()
      .orderBy('id', 'desc')
      .limit(page.limit)
      .where((where) => {
        const targets = where.selectFrom('bulk_targets').select('run_id').whereRef('run_id', '=', 'bulk_runs.id');
        const within = (labels: LabelFilter) =>
          where.exists(targets.where(labelsAllow('bulk_targets.agent_id', labels)));
        return where.or([
          where.and([where('operation', '=', 'task.start'), within(scope.tasks)]),
          where.and([where('operation', '!=', 'task.start'), within(scope.commands)]),
        ]);
      });
    if (page.cursor !== undefined) query = query.where('id', '<', page.cursor);
    return query.execute();
  }

  /** The ids of the runs in these states, oldest first. */
  async idsIn(states: readonly BulkRunRow['state'][], limit: number): Promise<string[]> {
    const rows = await this.#db
      .selectFrom('bulk_runs')
      .select('id')
      .where('state', 'in', states)
      .orderBy('id')
      .limit(limit)
      .execute();
    return rows.map(({ id }) => id);
  }

  /** The moved row; undefined when the run was not in one of the states `from`. */
  move(
    id: string,
    from: readonly BulkRunRow['state'][],
    set: Updateable<BulkRunsTable> & { readonly state: BulkRunRow['state'] },
  ): Promise<BulkRunRow | undefined> {
    return this.#db
      .updateTable('bulk_runs')
      .set(set)
      .where('id', '=', id)
      .where('state', 'in', from)
      .returningAll()
      .executeTakeFirst();
  }

  /** Forgets what was asked, once no target waits for it. */
  async eraseContent(id: string): Promise<void> {
    await this.#db
      .updateTable('bulk_runs')
      .set({ content: null })
      .where('id', '=', id)
      .where(
        sql<boolean>`not exists (select 1 from bulk_targets where run_id = bulk_runs.id and bulk_targets.state = 'waiting')`,
      )
      .execute();
  }
}

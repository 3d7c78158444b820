import { LIMITS } from '@drawbridge/protocol';
import type { Selectable, Updateable } from 'kysely';
import type { BulkTargetsTable } from './bulk-schema.ts';
import { labelsAllow } from './label-filter.ts';
import type { LabelFilter } from './label-filter.ts';
import type { CommandRow } from './commands-repository.ts';
import type { Db } from './store.ts';

export type BulkTargetRow = Selectable<BulkTargetsTable>;
export type TargetState = BulkTargetRow['state'];

/** How many targets of one run are in one state. */
export interface TargetCount {
  readonly run_id: string;
  readonly state: TargetState;
  readonly count: number;
}

/** A started target, and how its command and its task stand. */
export interface StartedTarget {
  readonly position: number;
  readonly command_id: string;
  readonly command_state: CommandRow['state'];
  readonly cancel_requested_at: string | null;
  readonly command_error_code: string | null;
  readonly command_error_message: string | null;
  /** Null when it is no task. */
  readonly task_state: string | null;
  readonly task_error_code: string | null;
  readonly task_error_message: string | null;
}

/** Rows of `bulk_targets`. */
export class BulkTargetsRepository {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  /** Call it in a transaction. */
  async insert(rows: readonly BulkTargetRow[]): Promise<void> {
    for (let start = 0; start < rows.length; start += LIMITS.rowsPerStatementMax) {
      const some = rows.slice(start, start + LIMITS.rowsPerStatementMax);
      await this.#db.insertInto('bulk_targets').values(some).execute();
    }
  }

  /** In their order, after `position`: those of agents that the filter lets through. */
  list(
    runId: string,
    page: { limit: number; after: number },
    { labels, state }: { labels: LabelFilter; state?: TargetState | undefined },
  ): Promise<BulkTargetRow[]> {
    let query = this.#db
      .selectFrom('bulk_targets')
      .selectAll()
      .where('run_id', '=', runId)
      .where('position', '>', page.after)
      .where(labelsAllow('bulk_targets.agent_id', labels))
      .orderBy('position')
      .limit(page.limit);
    if (state !== undefined) query = query.where('state', '=', state);
    return query.execute();
  }

  /** How many of each run's targets are in which state, of agents that the filter lets through. */
  counts(runIds: readonly string[], labels: LabelFilter): Promise<TargetCount[]> {
    if (runIds.length === 0) return Promise.resolve([]);
    return this.#db
      .selectFrom('bulk_targets')
      .select(({ fn }) => ['run_id', 'state', fn.countAll<number>().as('count')])
      .where('run_id', 'in', runIds)
      .where(labelsAllow('bulk_targets.agent_id', labels))
      .groupBy(['run_id', 'state'])
      .execute();
  }

  /** Those whose command is stored and whose end is not known here. */
  async started(runId: string, limit: number): Promise<StartedTarget[]> {
    return this.#db
      .selectFrom('bulk_targets')
      .innerJoin('commands', 'commands.id', 'bulk_targets.command_id')
      .leftJoin('tasks', 'tasks.id', 'bulk_targets.task_id')
      .select([
        'bulk_targets.position',
        'commands.id as command_id',
        'commands.state as command_state',
        'commands.cancel_requested_at',
        'commands.error_code as command_error_code',
        'commands.error_message as command_error_message',
        'tasks.state as task_state',
        'tasks.error_code as task_error_code',
        'tasks.error_message as task_error_message',
      ])
      .where('bulk_targets.run_id', '=', runId)
      .where('bulk_targets.state', '=', 'started')
      .orderBy('bulk_targets.position')
      .limit(limit)
      .execute();
  }

  /** Started or refused, and the audit log does not know yet. */
  unrecorded(runId: string, limit: number): Promise<BulkTargetRow[]> {
    return this.#db
      .selectFrom('bulk_targets')
      .selectAll()
      .where('run_id', '=', runId)
      .where('is_recorded', '=', 0)
      .where((where) => where.or([where('command_id', 'is not', null), where('state', '=', 'refused')]))
      .orderBy('position')
      .limit(limit)
      .execute();
  }

  async markRecorded(runId: string, positions: readonly number[]): Promise<void> {
    await this.#db
      .updateTable('bulk_targets')
      .set({ is_recorded: 1 })
      .where('run_id', '=', runId)
      .where('position', 'in', positions)
      .execute();
  }

  /** False when the target was not in the state `from`. */
  async move(
    { run_id: runId, position }: Pick<BulkTargetRow, 'run_id' | 'position'>,
    from: TargetState,
    set: Updateable<BulkTargetsTable> & { readonly state: TargetState },
  ): Promise<boolean> {
    const done = await this.#db
      .updateTable('bulk_targets')
      .set(set)
      .where('run_id', '=', runId)
      .where('position', '=', position)
      .where('state', '=', from)
      .executeTakeFirst();
    return done.numUpdatedRows > 0n;
  }

  /** `move` from `waiting` to `started`, while the run itself still starts targets. */
  async start(
    { run_id: runId, position }: Pick<BulkTargetRow, 'run_id' | 'position'>,
    set: { readonly command_id: string; readonly task_id: string | null; readonly started_at: string },
  ): Promise<boolean> {
    const done = await this.#db
      .updateTable('bulk_targets')
      .set({ ...set, state: 'started' })
      .where('run_id', '=', runId)
      .where('position', '=', position)
      .where('state', '=', 'waiting')
      .where((where) =>
        where.exists(where.selectFrom('bulk_runs').select('id').where('id', '=', runId).where('state', '=', 'running')),
      )
      .executeTakeFirst();
    return done.numUpdatedRows > 0n;
  }

  /** The run has ended before they were started. */
  async skipWaiting(runId: string, now: string): Promise<void> {
    await this.#db
      .updateTable('bulk_targets')
      .set({ state: 'skipped', ended_at: now })
      .where('run_id', '=', runId)
      .where('state', '=', 'waiting')
      .execute();
  }

  /** Some agent with an unfinished target that the filter does not let through. */
  async unfinishedOutside(runId: string, labels: LabelFilter): Promise<string | undefined> {
    const row = await this.#db
      .selectFrom('bulk_targets')
      .select('agent_id')
      .where('run_id', '=', runId)
      .where('state', 'in', ['waiting', 'started'])
      .where((where) => where.not(labelsAllow('bulk_targets.agent_id', labels)))
      .limit(1)
      .executeTakeFirst();
    return row?.agent_id;
  }
}

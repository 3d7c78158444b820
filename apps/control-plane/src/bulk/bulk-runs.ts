import type { Clock } from '@drawbridge/link';
import { ControlError } from '@drawbridge/protocol';
import type { BulkRunView, BulkTargetState } from '@drawbridge/protocol/api';
import type { Kysely } from 'kysely';
import { actorText } from '../operators/actor.ts';
import type { Actor } from '../operators/actor.ts';
import { scopeOf } from '../operators/authorise.ts';
import { BulkRunsRepository } from '../store/bulk-runs-repository.ts';
import type { BulkRunRow, BulkScope } from '../store/bulk-runs-repository.ts';
import { BulkTargetsRepository } from '../store/bulk-targets-repository.ts';
import type { BulkTargetRow } from '../store/bulk-targets-repository.ts';
import type { LabelFilter } from '../store/label-filter.ts';
import type { Schema } from '../store/schema.ts';
import type { SecretBox } from '../store/secret-box.ts';
import { timestamp } from '../store/timestamp.ts';
import { uuidv7 } from '../store/uuid.ts';
import { bulkRunView } from './bulk-view.ts';
import { chooseAgents } from './choose-agents.ts';
import { BULK_ENGINE_LIMITS } from './limits.ts';
import { isTaskRun, newRunRow, newTargetRow } from './new-bulk-run.ts';
import type { NewBulkRun } from './new-bulk-run.ts';
import { sealContent } from './run-content.ts';
import { UNFINISHED_RUN_STATES, runStatesBefore } from './run-state.ts';

export interface BulkRunsOptions {
  readonly db: Kysely<Schema>;
  readonly box: SecretBox;
  readonly clock: Clock;
}

/** Bulk runs: their agents are chosen once, when they are made. Carrying them out is the part of `BulkEngine`. */
export class BulkRuns {
  readonly #options: BulkRunsOptions;
  #onChange: (runId: string) => void = () => undefined;

  constructor(options: BulkRunsOptions) {
    this.#options = options;
  }

  /** Registers who carries them out. */
  onChange(wake: (runId: string) => void): void {
    this.#onChange = wake;
  }

  /**
   * Stores the run and its targets. An agent the actor may not see is no target; one they may not act on is a target that is
   * refused. Throws what `chooseAgents` throws, and `queue_full` when too many runs are unfinished.
   */
  async create(wanted: NewBulkRun, actor: Actor): Promise<BulkRunView> {
    const { db, box, clock } = this.#options;
    const agents = await chooseAgents(db, wanted.choice, actor);
    const runId = uuidv7(clock.now());
    const content = sealContent(box, runId, wanted.content);
    const row = newRunRow(wanted, { id: runId, createdBy: actorText(actor), now: timestamp(clock), content });
    const targets = agents.map((agent, position) => newTargetRow(row, agent, position, actor));
    await db.transaction().execute(async (trx) => {
      const runs = new BulkRunsRepository(trx);
      const unfinished = await runs.idsIn(UNFINISHED_RUN_STATES, BULK_ENGINE_LIMITS.runsMax);
      if (unfinished.length >= BULK_ENGINE_LIMITS.runsMax) {
        throw new ControlError('queue_full', `${unfinished.length} bulk runs are unfinished`);
      }
      await runs.insert(row);
      await new BulkTargetsRepository(trx).insert(targets);
    });
    this.#onChange(runId);
    return this.#view(row, actor);
  }

  /** Throws ControlError `bulk_run_not_found` when there is none, or the actor may see none of its targets. */
  async find(id: string, actor: Actor): Promise<BulkRunView> {
    const row = await new BulkRunsRepository(this.#options.db).find(id);
    if (row === undefined) throw bulkRunNotFound(id);
    const view = await this.#view(row, actor);
    if (Object.values(view.targets).every((count) => count === 0)) throw bulkRunNotFound(id);
    return view;
  }

  /** Newest first: those with a target that the actor may see. */
  async list(page: { limit: number; cursor: string | undefined }, actor: Actor): Promise<BulkRunView[]> {
    const { db } = this.#options;
    const scope = readScope(actor);
    const rows = await new BulkRunsRepository(db).list(page, scope);
    const targets = new BulkTargetsRepository(db);
    const idsOf = (isOfTasks: boolean) => rows.filter((row) => isTaskRun(row) === isOfTasks).map(({ id }) => id);
    const counts = [
      ...(await targets.counts(idsOf(true), scope.tasks)),
      ...(await targets.counts(idsOf(false), scope.commands)),
    ];
    return rows.map((row) => bulkRunView(row, counts));
  }

  /** The run's targets that the actor may see, in their order. */
  targets(
    run: Pick<BulkRunRow, 'id' | 'operation'>,
    page: { limit: number; after: number },
    { state }: { state: BulkTargetState | undefined },
    actor: Actor,
  ): Promise<BulkTargetRow[]> {
    const labels = scopeOfRun(run, actor);
    return new BulkTargetsRepository(this.#options.db).list(run.id, page, { labels, state });
  }

  /** An agent the run is not done with that is not within `scope`; undefined when all of them are. */
  agentOutside(id: string, scope: LabelFilter): Promise<string | undefined> {
    return new BulkTargetsRepository(this.#options.db).unfinishedOutside(id, scope);
  }

  /** Starts nothing more, and cancels what was started. A run that has ended stays as it is. */
  async cancel(id: string): Promise<void> {
    const moved = await new BulkRunsRepository(this.#options.db).move(id, runStatesBefore('cancelling'), {
      state: 'cancelling',
    });
    if (moved !== undefined) this.#onChange(id);
  }

  async #view(row: BulkRunRow, actor: Actor): Promise<BulkRunView> {
    const counts = await new BulkTargetsRepository(this.#options.db).counts([row.id], scopeOfRun(row, actor));
    return bulkRunView(row, counts);
  }
}

/** The same answer for a run that is not there and one that may not be seen. */
function bulkRunNotFound(id: string): ControlError {
  return new ControlError('bulk_run_not_found', `no bulk run ${id}`);
}

function scopeOfRun(run: Pick<BulkRunRow, 'operation'>, actor: Actor): LabelFilter {
  const scope = readScope(actor);
  return isTaskRun(run) ? scope.tasks : scope.commands;
}

function readScope(actor: Actor): BulkScope {
  return { tasks: scopeOf(actor, 'task.read'), commands: scopeOf(actor, 'agent.read') };
}

import type { CommandService } from '../commands/command-service.ts';
import { BulkRunsRepository } from '../store/bulk-runs-repository.ts';
import type { BulkRunRow } from '../store/bulk-runs-repository.ts';
import { BulkTargetsRepository } from '../store/bulk-targets-repository.ts';
import type { StartedTarget } from '../store/bulk-targets-repository.ts';
import { timestamp } from '../store/timestamp.ts';
import { BULK_TARGET_STATES } from '@drawbridge/protocol/api';
import type { BulkTargetState } from '@drawbridge/protocol/api';
import { countsByState } from './bulk-view.ts';
import { BULK_ENGINE_LIMITS } from './limits.ts';
import { recordTargets } from './record-targets.ts';
import type { RecordParts } from './record-targets.ts';
import { endOfRun, isRunFinal, runStatesBefore } from './run-state.ts';
import { startTarget } from './start-target.ts';
import type { StartParts } from './start-target.ts';
import { endOfTarget, isFailure } from './target-state.ts';

export interface AdvanceParts extends StartParts, RecordParts {
  readonly db: StartParts['db'];
  readonly principals: StartParts['principals'];
  readonly commands: Pick<CommandService, 'create' | 'cancel'>;
  /** Has the run looked at again when this command changes. True when nobody listened so far. */
  readonly watch: (runId: string, commandId: string) => boolean;
  readonly unwatch: (commandId: string) => void;
}

type Counts = Readonly<Record<BulkTargetState, number>>;

/**
 * One step of a run: takes in what has ended, then starts, skips or cancels what its state asks for, then ends it if nothing is
 * left. All it goes by is in the store. Resolves to true when another step should follow at once.
 */
export async function advanceRun(parts: AdvanceParts, runId: string, signal: AbortSignal): Promise<boolean> {
  const { db } = parts;
  const run = await new BulkRunsRepository(db).find(runId);
  if (run === undefined || isRunFinal(run.state)) return false;
  await recordTargets(parts, run);
  const targets = new BulkTargetsRepository(db);
  const started = await targets.started(run.id, run.concurrency);
  // Whoever was not listened to may have ended in between: another look, now that we listen.
  const isUnheard = started.map(({ command_id: id }) => parts.watch(run.id, id)).some((isNew) => isNew);
  await takeEnds(parts, run, started);
  const counts = countsByState(await targets.counts([run.id], [[]]));
  const hasMoved = await work(parts, run, { started, counts, signal });
  if (hasMoved || isUnheard) return true;
  if (run.content !== null && counts.waiting === 0) await new BulkRunsRepository(db).eraseContent(run.id);
  if (counts.waiting + counts.started === 0) await end(parts, run, counts);
  return false;
}

async function takeEnds(parts: AdvanceParts, run: BulkRunRow, started: readonly StartedTarget[]): Promise<void> {
  for (const target of started) {
    const ended = endOfTarget(target);
    if (ended === undefined) continue;
    const set = { ...ended, ended_at: timestamp(parts.clock) };
    await new BulkTargetsRepository(parts.db).move({ run_id: run.id, position: target.position }, 'started', set);
    parts.unwatch(target.command_id);
  }
}

interface Situation {
  readonly started: readonly StartedTarget[];
  readonly counts: Counts;
  readonly signal: AbortSignal;
}

/** What the run's state asks for. True when something has moved. */
async function work(parts: AdvanceParts, run: BulkRunRow, { started, counts, signal }: Situation): Promise<boolean> {
  const { db, commands, clock } = parts;
  if (run.state === 'running') {
    if (failuresOf(counts) <= failuresMax(run)) return startWaiting(parts, run, counts, signal);
    const stopping = await new BulkRunsRepository(db).move(run.id, ['running'], { state: 'stopping' });
    return stopping !== undefined;
  }
  if (run.state === 'cancelling') {
    for (const target of started) {
      if (target.cancel_requested_at === null) await commands.cancel(target.command_id);
    }
  }
  if (counts.waiting === 0) return false;
  await new BulkTargetsRepository(db).skipWaiting(run.id, timestamp(clock));
  return true;
}

/** Starts waiting targets, in their order, while there is room and not too much has failed. True when one has moved. */
async function startWaiting(
  parts: AdvanceParts,
  run: BulkRunRow,
  counts: Counts,
  signal: AbortSignal,
): Promise<boolean> {
  const targets = new BulkTargetsRepository(parts.db);
  let room = run.concurrency - counts.started;
  let failuresLeft = failuresMax(run) - failuresOf(counts);
  let hasMoved = false;
  let after = -1;
  while (room > 0) {
    const filter = { labels: [[]], state: 'waiting' } as const;
    const waiting = await targets.list(run.id, { limit: BULK_ENGINE_LIMITS.rowsMax, after }, filter);
    if (waiting.length === 0) break;
    for (const target of waiting) {
      after = target.position;
      if (signal.aborted || room <= 0 || failuresLeft < 0) return hasMoved;
      const became = await startTarget(parts, run, target);
      hasMoved ||= became !== 'later';
      if (became === 'started') room -= 1;
      // A refusal counts too here: the next step counts exactly.
      if (became === 'ended') failuresLeft -= 1;
    }
  }
  return hasMoved;
}

async function end(parts: AdvanceParts, run: BulkRunRow, counts: Counts): Promise<void> {
  const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const state = endOfRun(run.state, counts.succeeded === all);
  const set = { state, ended_at: timestamp(parts.clock), content: null } as const;
  await new BulkRunsRepository(parts.db).move(run.id, runStatesBefore(state), set);
}

function failuresOf(counts: Counts): number {
  return BULK_TARGET_STATES.filter(isFailure).reduce((sum, state) => sum + counts[state], 0);
}

function failuresMax({ failures_max: max }: BulkRunRow): number {
  return max ?? Number.POSITIVE_INFINITY;
}

import { TASK_STATES } from '@drawbridge/protocol';
import type { Clock } from '@drawbridge/link';
import { UNFINISHED_RUN_STATES, endOfRun } from '../bulk/run-state.ts';
import { UNFINISHED_STATES } from '../commands/command-state.ts';
import { finished } from '../commands/finish.ts';
import { RestoredRepository } from '../store/restored-repository.ts';
import type { Db } from '../store/store.ts';
import { timestamp } from '../store/timestamp.ts';
import { isTaskFinal } from '../tasks/task-state.ts';

/** What had to be changed in a store that was put back. */
export interface Settled {
  readonly commands: number;
  readonly tasks: number;
  readonly bulkRuns: number;
  readonly sessions: number;
  readonly joinTokens: number;
  readonly leases: number;
}

/** The ends of a tunnel may have seen higher epochs after the backup was taken, but not so many. */
const EPOCHS_SKIPPED = 1_000_000;

/**
 * Makes a store of the past one that can go on. What was unfinished then has ended since, or has not, and nobody here knows
 * (PROTOCOL.md §2.4): nothing of it is started again. Who was signed in signs in again. A join token may have been used since, and
 * would be good for as many uses once more. Leases are in grace, as after every start.
 */
export async function settleRestored(db: Db, backupOf: string, clock: Pick<Clock, 'now'>): Promise<Settled> {
  const restored = new RestoredRepository(db);
  const now = timestamp(clock);
  const message = `the control plane was put back to ${backupOf}: nobody knows what came of it`;
  const error = { code: 'indeterminate', message };
  const unknown = { error_code: error.code, error_message: message, ended_at: now };
  const unfinishedTasks = TASK_STATES.filter((state) => !isTaskFinal(state));
  await restored.endTargets(unknown);
  // One that was being stopped, or cancelled, has the end it was to have.
  let bulkRuns = 0;
  for (const state of UNFINISHED_RUN_STATES) bulkRuns += await restored.endBulkRuns(state, endOfRun(state, false), now);
  return {
    tasks: await restored.endTasks(unfinishedTasks, { ...unknown, state: 'indeterminate' }),
    commands: await restored.endCommands(UNFINISHED_STATES, finished({ status: 'indeterminate', error }, now)),
    bulkRuns,
    sessions: await restored.endSessions(),
    joinTokens: await restored.revokeJoinTokens(now),
    leases: await restored.graceLeases(now, EPOCHS_SKIPPED),
  };
}

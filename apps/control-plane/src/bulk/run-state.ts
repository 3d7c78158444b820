import type { BulkRunRow } from '../store/bulk-runs-repository.ts';

export type RunState = BulkRunRow['state'];

/** From each state, the states a run may move to. This table is the state machine. */
const NEXT = {
  running: ['stopping', 'cancelling', 'succeeded', 'failed'],
  // Too much has failed: nothing more is started, what was started may end.
  stopping: ['cancelling', 'stopped'],
  // Somebody wants it to end: what was started is cancelled.
  cancelling: ['cancelled'],
  succeeded: [],
  failed: [],
  stopped: [],
  cancelled: [],
} as const satisfies Record<RunState, readonly RunState[]>;

const RUN_STATES = Object.keys(NEXT).filter((state): state is RunState => Object.hasOwn(NEXT, state));

/** The states from which `to` may be reached: the condition of the UPDATE that moves a run there. */
export function runStatesBefore(to: RunState): RunState[] {
  return RUN_STATES.filter((from) => NEXT[from].some((next) => next === to));
}

/** True when a run has ended: none of its targets will change again. */
export function isRunFinal(state: RunState): boolean {
  return NEXT[state].length === 0;
}

/** The states of a run on which there is work to do. */
export const UNFINISHED_RUN_STATES = RUN_STATES.filter((state) => !isRunFinal(state));

/** How a run ends whose targets have all ended. */
export function endOfRun(state: RunState, isAllSucceeded: boolean): RunState {
  switch (state) {
    case 'stopping':
      return 'stopped';
    case 'cancelling':
      return 'cancelled';
    default:
      return isAllSucceeded ? 'succeeded' : 'failed';
  }
}

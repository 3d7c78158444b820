import { TaskState } from '@drawbridge/protocol';
import { isFinal } from '../commands/command-state.ts';
import type { StartedTarget, TargetState } from '../store/bulk-targets-repository.ts';
import { isTaskFinal } from '../tasks/task-state.ts';

/** From each state, the states a target may move to. This table is the state machine. */
const NEXT = {
  // It may fail before it starts: the agent is offline. It is skipped when the run ends before it.
  waiting: ['started', 'failed', 'refused', 'skipped'],
  started: ['succeeded', 'failed', 'cancelled', 'expired', 'timed_out', 'indeterminate'],
  succeeded: [],
  failed: [],
  cancelled: [],
  expired: [],
  timed_out: [],
  indeterminate: [],
  // Whoever asked has no right to it: nothing was tried.
  refused: [],
  skipped: [],
} as const satisfies Record<TargetState, readonly TargetState[]>;

/** What a started target becomes. */
type EndState = (typeof NEXT)['started'][number];

/** How a started target has ended. */
export interface TargetEnd {
  readonly state: EndState;
  readonly error_code: string | null;
  readonly error_message: string | null;
}

/** What the end of its command, or of its task, means for a target; undefined while that goes on. */
export function endOfTarget(target: StartedTarget): TargetEnd | undefined {
  if (target.task_state !== null) {
    const state = TaskState.parse(target.task_state);
    if (!isTaskFinal(state) || !isEndState(state)) return undefined;
    return { state, error_code: target.task_error_code, error_message: target.task_error_message };
  }
  const { command_state: state, command_error_code: code } = target;
  if (!isFinal(state) || !isEndState(state)) return undefined;
  return {
    state: code === 'command_timeout' ? 'timed_out' : state,
    error_code: code,
    error_message: target.command_error_message,
  };
}

/** True for an end that counts against `failures_max`: something was tried and did not succeed. */
export function isFailure(state: TargetState): boolean {
  return NEXT[state].length === 0 && !['succeeded', 'refused', 'skipped'].includes(state);
}

function isEndState(state: string): state is EndState {
  return NEXT.started.some((end) => end === state);
}

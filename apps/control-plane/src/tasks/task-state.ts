import { TASK_STATES } from '@drawbridge/protocol';
import type { TaskState } from '@drawbridge/protocol';

/** From each state, the states a task may move to. This table is the state machine (contract of the API, §5). */
const NEXT = {
  queued: ['starting', 'running', 'succeeded', 'failed', 'cancelled', 'timed_out', 'expired', 'indeterminate'],
  starting: ['running', 'succeeded', 'failed', 'cancelled', 'timed_out', 'indeterminate'],
  running: ['waiting', 'succeeded', 'failed', 'cancelled', 'timed_out', 'indeterminate'],
  waiting: ['running', 'succeeded', 'failed', 'cancelled', 'timed_out', 'indeterminate'],
  succeeded: [],
  failed: [],
  cancelled: [],
  timed_out: [],
  expired: [],
  indeterminate: [],
} as const satisfies Record<TaskState, readonly TaskState[]>;

/** The states from which `to` may be reached. */
export function taskStatesBefore(to: TaskState): TaskState[] {
  return TASK_STATES.filter((from) => NEXT[from].some((next) => next === to));
}

/** True when a task has ended and will never change again. */
export function isTaskFinal(state: TaskState): boolean {
  return NEXT[state].length === 0;
}

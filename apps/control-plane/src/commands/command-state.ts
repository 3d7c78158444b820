/** From each state, the states a command may move to. This table is the state machine (PROTOCOL.md §2.4). */
const NEXT = {
  queued: ['delivered', 'cancelled', 'expired', 'failed', 'indeterminate'],
  // The agent may end it before its `started` reached us; under another journal an idempotent one is delivered again.
  delivered: ['delivered', 'running', 'succeeded', 'failed', 'cancelled', 'indeterminate'],
  running: ['delivered', 'succeeded', 'failed', 'cancelled', 'indeterminate'],
  succeeded: [],
  failed: [],
  cancelled: [],
  expired: [],
  indeterminate: [],
} as const;

export type CommandState = keyof typeof NEXT;

/** Every state, in the order in which a command meets them. */
const COMMAND_STATES = Object.keys(NEXT).filter((state): state is CommandState => Object.hasOwn(NEXT, state));

/** The states from which `to` may be reached: the condition of the UPDATE that moves a command there. */
export function statesBefore(to: CommandState): CommandState[] {
  return COMMAND_STATES.filter((from) => NEXT[from].some((next) => next === to));
}

/** True when a command has its outcome and will never change again. */
export function isFinal(state: CommandState): boolean {
  return NEXT[state].length === 0;
}

/** The states of a command that still waits for its outcome. */
export const UNFINISHED_STATES = COMMAND_STATES.filter((state) => !isFinal(state));

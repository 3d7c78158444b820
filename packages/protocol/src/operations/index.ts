import { agentInfo, agentPing, configGet } from './agent.ts';
import { sessionCreate, sessionEnd, sessionGet, sessionList } from './session.ts';
import { taskStart } from './task.ts';
import { tunnelClose, tunnelOpen } from './tunnel.ts';
import type { Effect, Operation } from './operation.ts';

/** Every operation of this version, by its name on the wire. */
export const OPERATIONS = {
  'agent.ping': agentPing,
  'agent.info': agentInfo,
  'config.get': configGet,
  'session.create': sessionCreate,
  'session.end': sessionEnd,
  'session.get': sessionGet,
  'session.list': sessionList,
  'task.start': taskStart,
  'tunnel.open': tunnelOpen,
  'tunnel.close': tunnelClose,
} as const satisfies Record<string, Operation>;

export type OperationName = keyof typeof OPERATIONS;

/** True for the names of `OPERATIONS`; nothing inherited counts. */
export function isOperationName(name: string): name is OperationName {
  return Object.hasOwn(OPERATIONS, name);
}

/** Operations that their own routes create, never `POST …/commands`. */
export const OPERATIONS_WITH_A_ROUTE: ReadonlySet<OperationName> = new Set([
  'session.create',
  'session.end',
  'session.get',
  'session.list',
  'task.start',
  'tunnel.open',
  'tunnel.close',
]);

/** What a repetition of `name` would do; an operation we do not know is treated with most care. */
export function effectOf(name: string): Effect {
  return isOperationName(name) ? OPERATIONS[name].effect : 'once';
}

import type { Verb } from '@drawbridge/protocol/api';
import { isOperationName } from '@drawbridge/protocol';
import type { OperationName } from '@drawbridge/protocol';

/** The right each operation asks for: when it is wanted, and again when it is delivered. */
const VERB_OF = {
  'agent.ping': 'agent.command',
  'agent.info': 'agent.command',
  'config.get': 'agent.command',
  'session.create': 'terminal.open',
  'session.end': 'terminal.open',
  'session.get': 'terminal.observe',
  'session.list': 'terminal.observe',
  'task.start': 'task.run',
  'tunnel.open': 'tunnel.open',
  'tunnel.close': 'tunnel.open',
} as const satisfies Record<OperationName, Verb>;

export function verbOfOperation(operation: OperationName): Verb {
  return VERB_OF[operation];
}

/** The right to look at a command: that to read what it made, when it made something. */
export function verbToRead(operation: string): Verb {
  if (operation === 'task.start') return 'task.read';
  if (operation.startsWith('session.')) return 'terminal.observe';
  return operation.startsWith('tunnel.') ? 'tunnel.read' : 'agent.command';
}

/** The right to cancel a command: no other than the one its task asks for, or its own. */
export function verbToCancel(operation: string): Verb {
  if (operation === 'task.start') return 'task.cancel';
  return isOperationName(operation) ? VERB_OF[operation] : 'agent.command';
}

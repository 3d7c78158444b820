import { ControlError } from '@drawbridge/protocol';
import type { Labels } from '@drawbridge/protocol';
import type { Verb } from '@drawbridge/protocol/api';
import type { Resource } from '../operators/authorise.ts';
import type { AgentRow } from '../store/agents-repository.ts';

/** The labels of an agent. */
export function labelsOf(row: Pick<AgentRow, 'labels'>): Labels {
  return JSON.parse(row.labels) as Labels;
}

/** Labels as a record of the audit log names them: they decide who may do what. */
export function labelsText(labels: Labels): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .toSorted()
    .join(',');
}

/** The agent as `authorise` takes it; `asked` is what the caller called it, and all that a refusal repeats. */
export function agentResource(row: Pick<AgentRow, 'agent_id' | 'labels'>, asked: string): Resource {
  return { kind: 'agent', agentId: row.agent_id, labels: labelsOf(row), missing: () => agentNotFound(asked) };
}

/** Something of an agent that only those who hold `toRead` there know of. */
export function resourceOfAgent(
  row: Pick<AgentRow, 'agent_id' | 'labels'>,
  missing: () => ControlError,
  toRead: Verb = 'agent.read',
): Resource {
  return { kind: 'agent', agentId: row.agent_id, labels: labelsOf(row), missing, toRead };
}

/** The same answer for an agent that is not there and one that may not be seen. */
export function agentNotFound(asked: string): ControlError {
  return new ControlError('agent_not_found', `no agent ${asked.slice(0, 64)}`);
}

import type { Labels } from '@drawbridge/protocol';
import type { AgentRow } from '../store/agents-repository.ts';

/** The row of an agent that has never connected; the credential is the caller's to add. */
export function newAgentRow(agent: { agentId: string; name: string; labels: Labels; now: string }) {
  return {
    agent_id: agent.agentId,
    name: agent.name,
    labels: JSON.stringify(agent.labels),
    public_key: null,
    auth_token_expires_at: null,
    status: 'disconnected',
    version: null,
    os: null,
    arch: null,
    capabilities: '[]',
    host_id: null,
    machine_id: null,
    last_heartbeat: null,
    connected_at: null,
    disconnected_at: null,
    created_at: agent.now,
    updated_at: agent.now,
  } as const satisfies Omit<AgentRow, 'epoch' | 'auth_token_hash'>;
}

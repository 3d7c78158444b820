import type { AgentView } from '@drawbridge/protocol/api';
import type { AgentRow } from '../store/agents-repository.ts';
import { labelsOf } from './agent-resource.ts';
import type { LiveLink } from './presence.ts';

/** An agent as the API shows it. What the agent says of itself is its own word: untrusted text. */
export function agentView(row: AgentRow, link: LiveLink | undefined): AgentView {
  return {
    id: row.agent_id,
    name: row.name,
    labels: labelsOf(row),
    status: link === undefined ? 'offline' : 'online',
    version: row.version,
    os: row.os,
    arch: row.arch,
    capabilities: JSON.parse(row.capabilities) as string[],
    created_at: row.created_at,
    connected_at: row.connected_at,
    disconnected_at: row.disconnected_at,
    last_heartbeat: row.last_heartbeat,
    health: link?.health ?? null,
  };
}

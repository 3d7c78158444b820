import type { TunnelView } from '@drawbridge/protocol/api';
import type { SystemTunnel } from './system-tunnels.ts';

/** A tunnel of the control plane's own as the API shows it: it has no lease. */
export function systemTunnelView({ tunnelId, agentId, isOpen, channels, sinceMs }: SystemTunnel): TunnelView {
  return {
    tunnel_id: tunnelId,
    agent_id: agentId,
    kind: 'system',
    state: isOpen ? 'open' : 'opening',
    channels,
    created_at: new Date(sinceMs).toISOString(),
    protocol: null,
    domain: null,
    port: null,
    target: null,
    metadata: {},
    operator_id: null,
    operator_name: null,
    legs: { operator: false, agent: isOpen },
    idle_seconds: null,
    grace_seconds: null,
    last_activity_at: null,
    expires_at: null,
    bytes: { up: 0, down: 0 },
    ended_at: null,
    close_code: null,
    close_reason: null,
  };
}

import type { Lease } from './lease.ts';
import type { TunnelClaims } from './tunnel-tokens.ts';

/** What the token of a lease's agent binds. */
export function agentClaims({ agentId, tunnelId, port, protocol, domain }: Lease): TunnelClaims {
  return { sub: agentId, tunnel_id: tunnelId, port, protocol, domain };
}

/** What the token of an operator binds: the lease's own, or who takes over from them. */
export function operatorClaims(lease: Lease, operator: string): TunnelClaims {
  return { ...agentClaims(lease), operator };
}

import { CloseReason, ControlError } from '@drawbridge/protocol';
import type { LeaseEnd } from './lease.ts';

/** Ends that are nobody's wish. */
export const LEASE_ENDS = {
  agentRevoked: { code: CloseReason.Forbidden, reason: 'the agent was revoked' },
  rightLost: { code: CloseReason.Forbidden, reason: 'its operator has no right to it any more' },
  portLost: { code: CloseReason.ResourceLimit, reason: 'its port is lost, and no other is free' },
} as const satisfies Record<string, LeaseEnd>;

/** The same answer for a tunnel that is not there, one that is over, and one that may not be seen. */
export function tunnelNotFound(tunnelId: string): ControlError {
  return new ControlError('tunnel_not_found', `no tunnel ${tunnelId.slice(0, 64)}`);
}

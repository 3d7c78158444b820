import { CloseReason, ControlError, ERROR_CODES } from '@drawbridge/protocol';
import type { ClosePayload, ErrorCode, ErrorPayload } from '@drawbridge/protocol';

const CODES = {
  [CloseReason.Ok]: 'cancelled',
  [CloseReason.IdleTimeout]: 'timed_out',
  [CloseReason.GraceExpired]: 'expired',
  [CloseReason.ProtocolError]: 'protocol_error',
  [CloseReason.AuthFailed]: 'auth_failed',
  [CloseReason.ServerShutdown]: 'server_draining',
  [CloseReason.AgentShutdown]: 'agent_offline',
  [CloseReason.DomainLimit]: 'conflict',
  [CloseReason.UnexpectedDisconnect]: 'tunnel_unavailable',
  [CloseReason.TargetUnreachable]: 'tunnel_unavailable',
  [CloseReason.Forbidden]: 'forbidden',
  [CloseReason.ResourceLimit]: 'queue_full',
  [CloseReason.Cancelled]: 'cancelled',
} as const satisfies Record<CloseReason, ErrorCode>;

/** What somebody is told who still wanted something from a channel that has ended. */
export function closeError(channelId: number, end: ClosePayload): ControlError {
  const code = isCloseReason(end.code) ? CODES[end.code] : 'tunnel_unavailable';
  return new ControlError(code, `channel ${channelId} ended with code ${end.code}: ${end.reason}`, {
    details: { closeCode: end.code },
  });
}

/** The peer's refusal; a code that only the peer knows is `tunnel_unavailable`, with the peer's own in the details. */
export function refusalError(refusal: ErrorPayload): ControlError {
  const known = ERROR_CODES.find((code) => code === refusal.code);
  return new ControlError(known ?? 'tunnel_unavailable', refusal.message, { details: { peerCode: refusal.code } });
}

function isCloseReason(code: number): code is CloseReason {
  return code in CODES;
}

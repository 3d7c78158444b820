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
  [CloseReason.DomainLimit]: 'domain_limit',
  [CloseReason.UnexpectedDisconnect]: 'tunnel_unavailable',
  [CloseReason.TargetUnreachable]: 'target_unreachable',
  [CloseReason.Forbidden]: 'forbidden',
  [CloseReason.ResourceLimit]: 'queue_full',
  [CloseReason.Cancelled]: 'cancelled',
} as const satisfies Record<CloseReason, ErrorCode>;

/** What somebody is told who still wanted something from a channel that has ended. */
export function closeError(channelId: number, end: ClosePayload): ControlError {
  return new ControlError(codeOfClose(end.code), `channel ${channelId} ended with code ${end.code}: ${end.reason}`, {
    details: { closeCode: end.code },
  });
}

/** The code of an error that says as much as this code of a CLOSE. */
export function codeOfClose(code: number): ErrorCode {
  return isCloseReason(code) ? CODES[code] : 'tunnel_unavailable';
}

/** The peer's refusal; a code that only the peer knows is `tunnel_unavailable`, with the peer's own in the details. */
export function refusalError(refusal: ErrorPayload): ControlError {
  const known = ERROR_CODES.find((code) => code === refusal.code);
  return new ControlError(known ?? 'tunnel_unavailable', refusal.message, { details: { peerCode: refusal.code } });
}

function isCloseReason(code: number): code is CloseReason {
  return code in CODES;
}

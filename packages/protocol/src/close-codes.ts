/** Why a channel or a tunnel ended, in the payload of a CLOSE frame (PROTOCOL.md §3.2). */
export const CloseReason = {
  Ok: 0,
  IdleTimeout: 1,
  GraceExpired: 2,
  ProtocolError: 3,
  AuthFailed: 4,
  ServerShutdown: 5,
  AgentShutdown: 6,
  DomainLimit: 7,
  UnexpectedDisconnect: 8,
  TargetUnreachable: 9,
  Forbidden: 10,
  ResourceLimit: 11,
  Cancelled: 12,
} as const;
export type CloseReason = (typeof CloseReason)[keyof typeof CloseReason];

/** The codes a WebSocket of ours is closed with. 1004, 1005, 1006 and 1015 are never sent (RFC 6455 §7.4.1). */
export const WsClose = {
  /** Said goodbye: drained, disconnected, shut down. */
  Normal: 1000,
  /** A frame that breaks §3.2. */
  ProtocolError: 1002,
  /** A binary message where text is expected, or the reverse. */
  UnsupportedData: 1003,
  /** Text that is not JSON. */
  InvalidPayload: 1007,
  /** Rejected: the reason starts with `401`, `403` or says `auth timeout`. */
  PolicyViolation: 1008,
  MessageTooBig: 1009,
  InternalError: 1011,
  /** The server is restarting or full; come back later. */
  TryAgainLater: 1013,
  /** A newer connection of the same agent took over. */
  Superseded: 4001,
  /** The agent was revoked; nothing on this connection counts any more. */
  Revoked: 4003,
  /** No byte for 45 s. */
  Silent: 4008,
} as const;
export type WsClose = (typeof WsClose)[keyof typeof WsClose];

const AUTH_WORDS = /^40[13]|unauthorized|forbidden/i;

/**
 * True when a close, or a refused handshake, says the credential is rejected (S0-032..034): the agent then cools down and
 * does not back off. `beforeAuth` is true until the server has accepted the connection.
 */
export function isAuthRejection(
  end: { code?: number; reason?: string; httpStatus?: number },
  beforeAuth: boolean,
): boolean {
  if (end.httpStatus === 401 || end.httpStatus === 403) return true;
  if (end.reason !== undefined && AUTH_WORDS.test(end.reason)) return true;
  return beforeAuth && (end.code === WsClose.PolicyViolation || end.code === WsClose.ProtocolError);
}

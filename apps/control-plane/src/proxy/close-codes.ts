import { HandshakeRefused } from './backend-web-socket.ts';
import { ControlError, WsClose } from '@drawbridge/protocol';
import type { ErrorCode } from '@drawbridge/protocol';
import { ABNORMAL, cutReason, sendableCode } from '@drawbridge/runtime';

/** How a leg of a WebSocket ended, or is to end. */
export interface LegEnd {
  readonly code: number;
  readonly reason: string;
}

/** What a client is told once the service has ended: a dropped connection is an error. */
export function endForClient({ code, reason }: LegEnd): LegEnd {
  if (code === ABNORMAL) return { code: WsClose.InternalError, reason: 'the service dropped the connection' };
  return { code: sendableCode(code), reason: cutReason(reason) };
}

/** What a service is told once the client has ended: a page that was closed has simply gone. */
export function endForService({ code, reason }: LegEnd): LegEnd {
  return { code: code === ABNORMAL ? WsClose.Normal : sendableCode(code), reason: cutReason(reason) };
}

/** What `ws` says of a message it does not take, as both ends are told. Undefined for a connection that broke. */
export function endOfFault(error: Error & { readonly code?: string }): LegEnd | undefined {
  const code = FAULTS[error.code ?? ''];
  if (code !== undefined) return { code, reason: cutReason(error.message) };
  return error.code?.startsWith('WS_ERR_') === true
    ? { code: WsClose.ProtocolError, reason: cutReason(error.message) }
    : undefined;
}

const FAULTS: Readonly<Record<string, number>> = {
  WS_ERR_INVALID_UTF8: WsClose.InvalidPayload,
  WS_ERR_TOO_MANY_BUFFERED_PARTS: WsClose.PolicyViolation,
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: WsClose.MessageTooBig,
};

/** Decided against the client, not for want of something. */
const DECISIONS: ReadonlySet<ErrorCode> = new Set([
  'agent_not_found',
  'forbidden',
  'not_found',
  'operation_not_allowed',
  'unauthenticated',
  'unsupported',
]);

/** What a client is told whose WebSocket does not come about, or may not go on. */
export function endOfError(error: unknown): LegEnd {
  if (error instanceof HandshakeRefused) return { code: WsClose.PolicyViolation, reason: cutReason(error.message) };
  if (!(error instanceof ControlError)) return { code: WsClose.InternalError, reason: 'internal error' };
  const reason = cutReason(`${error.code}: ${error.message}`);
  return { code: DECISIONS.has(error.code) ? WsClose.PolicyViolation : WsClose.InternalError, reason };
}

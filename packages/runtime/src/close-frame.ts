import { WsClose } from '@drawbridge/protocol';

/** What a close frame has room for beside its code (RFC 6455 §5.5). */
const REASON_BYTES_MAX = 123;

/** No close frame arrived. */
export const ABNORMAL = 1006;
/** A close frame arrived without a code. */
export const NO_CODE = 1005;

/** The peer has this long to answer a close frame; then the connection is dropped. */
export const CLOSE_TIMEOUT_MS = 2_000;

/** Whether a close frame may carry this code (RFC 6455 §7.4). */
export function isValidCode(code: number): boolean {
  const isDefined = code >= 1000 && code <= 1014 && code !== 1004 && code !== NO_CODE && code !== ABNORMAL;
  return isDefined || (code >= 3000 && code <= 4999);
}

/** The code itself, or the nearest one that an endpoint may send. */
export function sendableCode(code: number): number {
  if (code === NO_CODE) return WsClose.Normal;
  return isValidCode(code) ? code : WsClose.InternalError;
}

/** The longest start of a reason that a close frame has room for, never half a character. */
export function cutReason(reason: string): string {
  return reason.slice(0, new TextEncoder().encodeInto(reason, new Uint8Array(REASON_BYTES_MAX)).read);
}

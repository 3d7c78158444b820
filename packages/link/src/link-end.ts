import { isAuthRejection, WsClose } from '@drawbridge/protocol';
import type { SocketEnd } from './socket.ts';

/** Why a link ended, or could not be made, as far as it decides when to dial again. */
export type LinkEnd =
  /** The network, or anything else that passes: back off. */
  | { readonly kind: 'transient'; readonly reason: string; readonly error?: unknown }
  /** The server says goodbye to everybody: back off, and come back. */
  | { readonly kind: 'draining'; readonly reason: string; readonly error?: unknown }
  /** The server says how long to stay away; `spreadMs` is for a crowd not to come back at once. */
  | {
      readonly kind: 'retry_after';
      readonly reason: string;
      readonly retryAfterMs: number;
      readonly spreadMs?: number;
      readonly error?: unknown;
    }
  /** The credential is rejected: somebody must act. */
  | { readonly kind: 'auth'; readonly reason: string; readonly error?: unknown }
  /** Another connection of the same agent took over. */
  | { readonly kind: 'superseded'; readonly reason: string; readonly error?: unknown };

/** A crowd that is told to wait long needs no more than this to come apart. */
const CROWD_SPREAD_MS_MAX = 60_000;

/** What a closed socket means. `beforeAuth` is true until the server has accepted this end. */
export function endOfSocket(end: SocketEnd, beforeAuth: boolean): LinkEnd {
  const reason = `closed with ${end.code}${end.reason === '' ? '' : `: ${end.reason}`}`;
  const error = end.error === undefined ? {} : { error: end.error };
  if (end.code === WsClose.Superseded) return { kind: 'superseded', reason, ...error };
  if (isAuthRejection(end, beforeAuth) || end.code === WsClose.Revoked) return { kind: 'auth', reason, ...error };
  if (end.code === WsClose.TryAgainLater) return { kind: 'draining', reason, ...error };
  return { kind: 'transient', reason, ...error };
}

/** What a failed dial means: it looks for `httpStatus` and `retryAfterMs` on the error, whoever threw it. */
export function endOfDial(error: unknown): LinkEnd {
  const reason = error instanceof Error ? error.message : String(error);
  const httpStatus = numberOf(error, 'httpStatus');
  const retryAfterMs = numberOf(error, 'retryAfterMs');
  if (httpStatus !== undefined && isAuthRejection({ httpStatus }, true)) return { kind: 'auth', reason, error };
  if (retryAfterMs !== undefined) {
    // Everybody who was refused got the same number.
    const spreadMs = Math.min(retryAfterMs, CROWD_SPREAD_MS_MAX);
    return { kind: 'retry_after', reason, retryAfterMs, spreadMs, error };
  }
  return { kind: 'transient', reason, error };
}

function numberOf(error: unknown, field: 'httpStatus' | 'retryAfterMs'): number | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const value: unknown = Object.entries(error).find(([name]) => name === field)?.[1];
  return typeof value === 'number' ? value : undefined;
}

import { ControlError } from '@drawbridge/protocol';

/** What a request says of where it comes from, and what it carries. */
export interface OriginFacts {
  readonly method: string;
  /** It wants to become a WebSocket. */
  readonly isUpgrade: boolean;
  readonly origin: string | undefined;
  /** Sec-Fetch-Site. */
  readonly fetchSite: string | undefined;
  /** The host and the scheme it was sent to, as the caller's browser sees them. */
  readonly host: string;
  readonly protocol: string;
  readonly hasBearer: boolean;
  readonly hasCookie: boolean;
}

const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Throws ControlError `forbidden` for what a page of somebody else may have sent: a cookie goes along with a request without
 * the person's doing, a bearer token never does. So with a bearer every origin is fine. Without one, whatever changes something
 * and every WebSocket needs our own Origin, exactly; it may be absent only where nothing went along by itself: no cookie, and
 * no WebSocket.
 */
export function checkOrigin(facts: OriginFacts): void {
  const { method, isUpgrade, origin, fetchSite, hasBearer, hasCookie } = facts;
  if (hasBearer) return;
  if (hasCookie && fetchSite === 'cross-site') throw refusal('a page of another site sent this request');
  if (!isUpgrade && SAFE_METHODS.has(method)) return;
  if (origin === undefined) {
    if (!hasCookie && !isUpgrade) return;
    throw refusal('this request has no Origin: programs send "Authorization: Bearer <API token>"');
  }
  const own = URL.parse(`${facts.protocol}://${facts.host}`)?.origin;
  if (origin !== own) throw refusal(`the Origin of this request is not ${own ?? "this server's"}`);
}

function refusal(message: string): ControlError {
  return new ControlError('forbidden', message);
}

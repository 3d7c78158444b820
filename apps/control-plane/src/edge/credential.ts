import type { IncomingMessage } from 'node:http';
import { ControlError } from '@drawbridge/protocol';
import type { Caller } from './edge.ts';
import { bearerOf, headerOf } from './headers.ts';
import { checkOrigin } from './origin.ts';

/** What `credentialOf` goes by, besides the request's headers. */
export interface CredentialFacts {
  readonly caller: Pick<Caller, 'host' | 'protocol'>;
  /** The cookie of a session, if it came along. */
  readonly cookie: string | undefined;
  readonly isUpgrade: boolean;
}

/**
 * What a request brings to say who sends it: an API token, or a session's cookie from a page of our own origin. Throws ControlError
 * `forbidden` for what a page of somebody else may have sent.
 */
export function credentialOf(
  request: Pick<IncomingMessage, 'method' | 'headers'>,
  { caller, cookie, isUpgrade }: CredentialFacts,
): string | undefined {
  const bearer = bearerOf(request);
  // Refused for that, wherever it is from.
  if (isUpgrade && bearer === undefined && cookie === undefined) return undefined;
  checkOrigin({
    method: request.method ?? '',
    isUpgrade,
    origin: request.headers.origin,
    fetchSite: headerOf(request, 'sec-fetch-site'),
    host: caller.host,
    protocol: caller.protocol,
    hasBearer: bearer !== undefined,
    hasCookie: cookie !== undefined,
  });
  return bearer ?? cookie;
}

/** What whoever brings no credential, or nobody's, is told. */
export function notSignedIn(): ControlError {
  return new ControlError('unauthenticated', 'sign in, or send "Authorization: Bearer <API token>"');
}

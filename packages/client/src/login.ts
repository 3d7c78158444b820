import { z } from 'zod';
import { IssuedSession, LoginRequest, RoleBinding } from '@drawbridge/protocol/api';
import { ApiError } from './errors.ts';
import { Http } from './http.ts';
import type { HttpOptions } from './http.ts';
import { retrying } from './retrying.ts';
import type { RetryOptions } from './retrying.ts';

/** Who asks, and in which roles. What an older or newer control plane says differently is left out, not refused. */
export const Identity = z.object({
  kind: z.string(),
  id: z.string(),
  name: z.string().nullish(),
  user_id: z.string().nullish(),
  roles: z.array(RoleBinding).catch([]),
});
export type Identity = z.infer<typeof Identity>;

/** A name and its password, and what the session is to be called in the list of sessions. */
export interface PasswordSignIn {
  readonly user: string;
  readonly password: string;
  readonly label: string;
}

/** Nobody needs longer to confirm a code. The control plane's own limit is shorter. */
const LOGIN_WAIT_MS_MAX = 1_800_000;
const POLL_SECONDS_MIN = 1;
const POLL_SECONDS_MAX = 60;

/** Who the token belongs to. Rejects with the ApiError `unauthenticated` when it is nobody's. */
export function whoAmI(options: HttpOptions, signal?: AbortSignal): Promise<Identity> {
  return new Http(options).json(Identity, '/api/v1/whoami', { signal });
}

/** Exchanges a password for a session. */
export function signInWithPassword(
  options: HttpOptions,
  { user, password, label }: PasswordSignIn,
  signal?: AbortSignal,
): Promise<IssuedSession> {
  return new Http(options).json(IssuedSession, '/api/v1/sessions', { body: { user, password, label }, signal });
}

/** Asks for a sign-in that somebody confirms in a browser: shows them `user_code` and `verification_url`, nothing else. */
export function requestLogin(options: HttpOptions, label: string, signal?: AbortSignal): Promise<LoginRequest> {
  return new Http(options).json(LoginRequest, '/api/v1/login-requests', { body: { label }, signal });
}

/**
 * The session, once the request was confirmed. Rejects with the ApiError that ends it (denied, expired), over a control plane
 * that is away for less than the patience of `retry`.
 */
export async function awaitLogin(
  options: HttpOptions,
  request: LoginRequest,
  retry: RetryOptions,
  signal?: AbortSignal,
): Promise<IssuedSession> {
  const http = new Http(options);
  const waitMs = Math.min(Math.max(request.interval_seconds, POLL_SECONDS_MIN), POLL_SECONDS_MAX) * 1000;
  const sinceMs = retry.nowMs();
  while (retry.nowMs() - sinceMs < LOGIN_WAIT_MS_MAX) {
    await retry.sleep(waitMs, signal);
    const session = await retrying(() => pollLogin(http, request, signal), retry, signal);
    if (session !== undefined) return session;
  }
  throw new ApiError({ code: 'expired', message: 'nobody confirmed the sign-in in time', status: 410 });
}

/** Ends the session whose token `options` holds: the token works nowhere any more. */
export function signOut(options: HttpOptions, signal?: AbortSignal): Promise<void> {
  return new Http(options).done('/api/v1/sessions/current', { method: 'DELETE', signal });
}

const STILL_PENDING = 202;

async function pollLogin(
  http: Http,
  { id, poll_secret: secret }: LoginRequest,
  signal: AbortSignal | undefined,
): Promise<IssuedSession | undefined> {
  const path = `/api/v1/login-requests/${encodeURIComponent(id)}/token`;
  const response = await http.send(path, { body: { poll_secret: secret }, signal });
  if (response.status !== STILL_PENDING) return http.read(IssuedSession, response, signal);
  // Read, so that the connection is free for the next time.
  await response.text();
  return undefined;
}

import { ControlError } from '@drawbridge/protocol';
import { parseSandboxPath } from '../proxy/sandbox-path.ts';

/** Names under which programs put secrets into a URL. */
const NAMES: ReadonlySet<string> = new Set([
  'access_token',
  'api_key',
  'apikey',
  'auth',
  'auth_token',
  'authorization',
  'bearer',
  'code',
  'credential',
  'credentials',
  'id_token',
  'jwt',
  'key',
  'pass',
  'passwd',
  'password',
  'private_key',
  'pwd',
  'refresh_token',
  'secret',
  'session',
  'token',
]);

/** Our own secrets, under whatever name: API tokens, join tokens, keys of agents. */
const OURS = /(?:^|\W)db[a-z]_[A-Za-z0-9._-]{8}/;

/**
 * Whether a request's target holds a credential: in its query, or before the host of an absolute one. What is meant for a service behind
 * an agent may hold that service's own, under whatever name; ours are refused there too.
 */
export function refusesCredentialsInUrl(target: string): boolean {
  const [path = '', query = ''] = target.split('?', 2);
  if (/^[a-z]+:\/\/[^/]*@/i.test(path)) return true;
  // A second `?` belongs to a value.
  const parameters = new URLSearchParams(target.slice(path.length + 1) || query);
  const isOurs = parseSandboxPath(target) === undefined;
  return [...parameters].some(
    ([name, value]) =>
      (isOurs && NAMES.has(name.toLowerCase().replaceAll('-', '_'))) || OURS.test(value) || OURS.test(name),
  );
}

/** Throws ControlError `credentials_in_url`: what stands in a URL ends up in histories and the logs of proxies. */
export function requireNoCredentialsInUrl(target: string): void {
  if (refusesCredentialsInUrl(target)) {
    throw new ControlError(
      'credentials_in_url',
      'credentials are not accepted in a URL: use the Authorization header, and take this one for leaked',
    );
  }
}

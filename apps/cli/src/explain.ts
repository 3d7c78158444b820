import { ApiError, ControlError, UnreachableError } from '@drawbridge/client';
import { Interrupted, NotSignedInError, UsageError } from './exit-codes.ts';
import { plain } from './output.ts';

/** What is told of a failure: a stable code, one line for people, and the request to ask the control plane's log for. */
export interface Explanation {
  readonly code: string;
  readonly message: string;
  readonly request_id?: string;
}

/** One line: what failed, why, and what to do next. Nothing of it does anything to a terminal. */
export function explain(error: unknown, env: NodeJS.ProcessEnv): Explanation {
  const { code, message, ...rest } = describe(error, env);
  return { code, message: plain(message.replaceAll(/\s*\n\s*/g, ' ')), ...rest };
}

function describe(error: unknown, env: NodeJS.ProcessEnv): Explanation {
  if (error instanceof ApiError) return ofApi(error, env);
  if (error instanceof UnreachableError) return { code: 'unreachable', message: unreachable(error) };
  if (error instanceof ControlError) return { code: error.code, message: withNext(inWords(error), NEXT[error.code]) };
  if (error instanceof UsageError) return { code: 'usage', message: error.message };
  if (error instanceof NotSignedInError) return { code: 'unauthenticated', message: error.message };
  if (error instanceof Interrupted) return { code: 'interrupted', message: error.message };
  return { code: 'internal', message: error instanceof Error ? error.message : 'unknown error' };
}

function ofApi(error: ApiError, env: NodeJS.ProcessEnv): Explanation {
  const message = error.status === 401 ? refused(error, env) : withNext(error.message, NEXT[error.code]);
  return { code: error.code, message, ...(error.requestId === undefined ? {} : { request_id: error.requestId }) };
}

/** Who is refused without having said who they are. Signing in itself has better words: those of the control plane. */
function refused({ url, code, message }: ApiError, env: NodeJS.ProcessEnv): string {
  if (code !== 'unauthenticated' || url === undefined) return message;
  const isFromEnvironment = (env['DRAWBRIDGE_URL'] ?? '') !== '';
  if (isFromEnvironment) return `${url} refuses the token of the environment (DRAWBRIDGE_TOKEN): ${message}`;
  return `not signed in to ${url} any more: drawbridge login ${url}`;
}

/** What to do next, where the control plane cannot know how it was asked. */
const NEXT: Readonly<Record<string, string>> = {
  agent_not_found: '"drawbridge agents ls" shows those there are',
  forbidden: '"drawbridge whoami" shows your roles',
  group_not_found: '"drawbridge groups ls" shows those there are',
  join_token_not_found: '"drawbridge join-token ls" shows those there are',
  rate_limited: 'try again in a moment',
  role_not_found: '"drawbridge roles ls" shows those there are',
  session_not_found:
    '"drawbridge sessions ls AGENT" shows those of an agent, "drawbridge whoami --sessions" where you are signed in',
  task_not_found: '"drawbridge tasks ls" shows the newest',
  token_not_found: '"drawbridge tokens ls" shows yours',
  tunnel_not_found: '"drawbridge tunnels ls --all" shows those there are',
  user_not_found: '"drawbridge users ls" shows those there are',
};

function withNext(message: string, next: string | undefined): string {
  return next === undefined ? message : `${message}: ${next}`;
}

const CA_HINT = 'if it is your own, name the authority that signed it with --ca FILE at login, or in DRAWBRIDGE_CA';

/** Why nobody was reached, by the code of the platform's error. */
const WHY: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'its name cannot be looked up just now',
  ECONNRESET: 'the connection broke',
  ETIMEDOUT: 'it does not answer',
  EHOSTUNREACH: 'there is no way to it from here',
  ENETUNREACH: 'there is no network from here to it',
  EPROTO: 'it does not speak TLS: is it http:// ?',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS: is it http:// ?',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for other names',
  DEPTH_ZERO_SELF_SIGNED_CERT: `nobody trusted has signed its certificate: ${CA_HINT}`,
  SELF_SIGNED_CERT_IN_CHAIN: `nobody trusted has signed its certificate: ${CA_HINT}`,
  UNABLE_TO_GET_ISSUER_CERT: `nobody trusted has signed its certificate: ${CA_HINT}`,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: `nobody trusted has signed its certificate: ${CA_HINT}`,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: `nobody trusted has signed its certificate: ${CA_HINT}`,
};

/** An agent ends a message with the code of its platform's error. */
function inWords({ message }: ControlError): string {
  return message.replace(/(?<=: )E[A-Z]+$/, (code) => WHY[code] ?? code);
}

function unreachable({ url, message, cause }: UnreachableError): string {
  const code = codeOf(cause);
  const why = code === undefined ? undefined : WHY[code];
  return why === undefined ? message : `cannot reach the control plane at ${url}: ${why}`;
}

/** The platform's code; of several addresses that were tried in vain, the first one's. */
function codeOf(cause: unknown): string | undefined {
  if (cause instanceof AggregateError) return codeOf(cause.errors[0]);
  return cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : undefined;
}

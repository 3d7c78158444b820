import { REDACTED } from './secret.ts';

/** Fields whose value is secret whatever it looks like, as they stand in JSON. */
const SECRET_FIELDS = [
  'authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
  'password',
  'secret',
  'token',
  'auth_token',
  'authToken',
  'apiKey',
  'api_key',
  'poll_secret',
];

/** Each pattern, and what takes the place of what it found. None of them crosses a quote: a line of JSON stays JSON. */
const RULES: readonly (readonly [pattern: RegExp, replacement: string])[] = [
  // Our own: join tokens, agent keys, sessions, API tokens. The secret of a join token stands behind a dot.
  [/\b(db[jkst]_)[\w.-]+/g, `$1${REDACTED}`],
  // A JWT: three base64url parts, the first two starting like `{"`.
  [/\beyJ[\w-]+\.eyJ[\w-]+\.[\w-]*/g, REDACTED],
  [/\b(Bearer|Basic)\s+[\w~+/.=-]+/gi, `$1 ${REDACTED}`],
  // A private key in PEM; inside JSON its line ends are escaped.
  [/-----BEGIN ([A-Z ]*PRIVATE KEY)-----[^"-]*-----END \1-----/g, REDACTED],
  // scheme://user:password@
  [/\b([a-z][a-z0-9+.-]*:\/\/[^\s/:@"'\\]*):[^\s/@"'\\]+@/gi, `$1:${REDACTED}@`],
  // nats://token@
  [/\b((?:nats|tls):\/\/)[^\s/:@"'\\]+@/gi, `$1${REDACTED}@`],
  // postgres://host/name?password=…
  [/([?&](?:access_token|api_key|password|secret|sslpassword|token)=)[^\s&#"'\\]+/gi, `$1${REDACTED}`],
  [new RegExp(`"(${SECRET_FIELDS.join('|')})":"(?:[^"\\\\]|\\\\.)*"`, 'gi'), `"$1":"${REDACTED}"`],
];

/** The text, or line of JSON, without the secrets that can be told by their looks. */
export function redact(text: string): string {
  return RULES.reduce((result, [pattern, replacement]) => result.replace(pattern, replacement), text);
}

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
];

/** Each pattern, and what takes the place of what it found. None of them crosses a quote: a line of JSON stays JSON. */
const RULES: readonly (readonly [pattern: RegExp, replacement: string])[] = [
  // Our own tokens: API, join and agent keys.
  [/\b(db[tjk]_)[\w-]+/g, `$1${REDACTED}`],
  // A JWT: three base64url parts, the first two starting like `{"`.
  [/\beyJ[\w-]+\.eyJ[\w-]+\.[\w-]*/g, REDACTED],
  [/\b(Bearer|Basic)\s+[\w~+/.=-]+/gi, `$1 ${REDACTED}`],
  // A private key in PEM; inside JSON its line ends are escaped.
  [/-----BEGIN ([A-Z ]*PRIVATE KEY)-----[^"-]*-----END \1-----/g, REDACTED],
  // scheme://user:password@
  [/\b([a-z][a-z0-9+.-]*:\/\/[^\s/:@"'\\]*):[^\s/@"'\\]+@/gi, `$1:${REDACTED}@`],
  [new RegExp(`"(${SECRET_FIELDS.join('|')})":"(?:[^"\\\\]|\\\\.)*"`, 'gi'), `"$1":"${REDACTED}"`],
];

/** The text, or line of JSON, without the secrets that can be told by their looks. */
export function redact(text: string): string {
  return RULES.reduce((result, [pattern, replacement]) => result.replace(pattern, replacement), text);
}

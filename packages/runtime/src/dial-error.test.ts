import { expect, it } from 'vitest';
import { DialError, retryAfterMs, toDialError } from './dial-error.ts';

const NOW_MS = Date.UTC(2026, 0, 7, 10);

it.each([
  [undefined, undefined],
  ['0', 0],
  [' 90 ', 90_000],
  ['Wed, 07 Jan 2026 10:00:30 GMT', 30_000],
  ['Wed, 07 Jan 2026 09:00:00 GMT', 0],
  ['99999999', 86_400_000],
  ['later', undefined],
  ['', undefined],
])('reads Retry-After: %s as %s ms', (header, expected) => {
  expect(retryAfterMs(header, NOW_MS)).toBe(expected);
});

it.each([
  ['ECONNREFUSED', 'refused'],
  ['EHOSTUNREACH', 'refused'],
  ['ENOTFOUND', 'dns'],
  ['EAI_AGAIN', 'dns'],
  ['ETIMEDOUT', 'timeout'],
  ['CERT_HAS_EXPIRED', 'tls'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'tls'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'tls'],
  ['ERR_SSL_WRONG_VERSION_NUMBER', 'tls'],
  ['HPE_INVALID_CONSTANT', 'http'],
])('takes %s for %s, and keeps the cause', (code, kind) => {
  const cause = Object.assign(new Error('what Node says'), { code });
  expect(toDialError(cause, 'wss://a.test')).toMatchObject({ kind, message: 'wss://a.test: what Node says', cause });
});

it('leaves a DialError as it is', () => {
  const error = new DialError('pin', 'no');
  expect(toDialError(error, 'wss://a.test')).toBe(error);
});

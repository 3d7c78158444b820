import { expect, it } from 'vitest';
import { redact } from './redact.ts';

it.each([
  ['our tokens', 'login with dbt_Abc-12_3 failed', 'login with dbt_[redacted] failed'],
  ['join tokens and agent keys', 'dbj_1, dbk_2', 'dbj_[redacted], dbk_[redacted]'],
  ['bearer headers', 'Authorization: Bearer abc.def', 'Authorization: Bearer [redacted]'],
  ['basic headers', 'proxy-authorization: Basic bWU6cHc=', 'proxy-authorization: Basic [redacted]'],
  ['JWTs', 'sent eyJhbGciOiJF.eyJpc3Mi.c2ln here', 'sent [redacted] here'],
  ['passwords in URLs', 'postgres://me:pa%20ss@db/x', 'postgres://me:[redacted]@db/x'],
  ['fields of any depth', '{"a":{"Password":"x\\"y","n":1}}', '{"a":{"Password":"[redacted]","n":1}}'],
  [
    'private keys',
    '"key":"-----BEGIN EC PRIVATE KEY-----\\nMHcC\\n-----END EC PRIVATE KEY-----\\n"',
    '"key":"[redacted]\\n"',
  ],
])('takes out %s', (_what, text, redacted) => {
  expect(redact(text)).toBe(redacted);
});

it.each(['http://host:8080/a@b', 'sqlite:/data/x.db', 'dbx_1', '{"tokens":3,"token":null}'])(
  'leaves %s alone',
  (text) => {
    expect(redact(text)).toBe(text);
  },
);

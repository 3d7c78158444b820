import { expect, it } from 'vitest';
import { redact } from './redact.ts';

it.each([
  ['our tokens', 'login with dbt_Abc-12_3 failed', 'login with dbt_[redacted] failed'],
  ['join tokens and agent keys', 'dbj_1, dbk_2', 'dbj_[redacted], dbk_[redacted]'],
  ['a join token with what stands behind its dots', 'dbj_1-2.s3cret.finger used', 'dbj_[redacted] used'],
  ['sessions, and tokens people made up', 'dbs_a_b-c, dbt_my.own.token', 'dbs_[redacted], dbt_[redacted]'],
  ['bearer headers', 'Authorization: Bearer abc.def', 'Authorization: Bearer [redacted]'],
  ['basic headers', 'proxy-authorization: Basic bWU6cHc=', 'proxy-authorization: Basic [redacted]'],
  ['JWTs', 'sent eyJhbGciOiJF.eyJpc3Mi.c2ln here', 'sent [redacted] here'],
  ['passwords in URLs', 'postgres://me:pa%20ss@db/x', 'postgres://me:[redacted]@db/x'],
  ['tokens in URLs of NATS', 'nats://s3cret@host:4222', 'nats://[redacted]@host:4222'],
  [
    'queries',
    'postgres://db/x?user=me&password=p%20s&sslmode=on',
    'postgres://db/x?user=me&password=[redacted]&sslmode=on',
  ],
  ['fields of any depth', '{"a":{"Password":"x\\"y","n":1}}', '{"a":{"Password":"[redacted]","n":1}}'],
  [
    'private keys',
    '"key":"-----BEGIN EC PRIVATE KEY-----\\nMHcC\\n-----END EC PRIVATE KEY-----\\n"',
    '"key":"[redacted]\\n"',
  ],
])('takes out %s', (_what, text, redacted) => {
  expect(redact(text)).toBe(redacted);
});

it.each([
  'http://host:8080/a@b',
  'nats://host:4222',
  'postgres://me@db/x?tokens=3',
  'sqlite:/data/x.db',
  'dbx_1',
  '{"tokens":3,"token":null}',
])('leaves %s alone', (text) => {
  expect(redact(text)).toBe(text);
});

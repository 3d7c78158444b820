import { ApiError, ControlError, UnreachableError } from '@drawbridge/client';
import { expect, it } from 'vitest';
import { Interrupted, NotSignedInError, UsageError } from './exit-codes.ts';
import { explain } from './explain.ts';

const URL_ = 'https://control.example.com';

function refusal(status: number, code: string, message = 'no'): ApiError {
  return new ApiError({ status, code, message, url: URL_, requestId: 'r1' });
}

function unreachable(code: string): UnreachableError {
  return new UnreachableError(URL_, Object.assign(new Error('raw words of the platform'), { code }));
}

it.each([
  ['ECONNREFUSED', 'nothing listens there'],
  ['ENOTFOUND', 'there is no such host'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', '--ca FILE at login, or in DRAWBRIDGE_CA'],
  ['SELF_SIGNED_CERT_IN_CHAIN', '--ca FILE at login, or in DRAWBRIDGE_CA'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', '--ca FILE at login, or in DRAWBRIDGE_CA'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'for other names'],
  ['CERT_HAS_EXPIRED', 'has expired'],
  ['EPROTO', 'does not speak TLS'],
  ['EWHATEVER', 'raw words of the platform'],
])('names the address and the reason of %s', (code, reason) => {
  const { message } = explain(unreachable(code), {});
  expect(message).toContain(`cannot reach the control plane at ${URL_}: `);
  expect(message).toContain(reason);
});

it('takes the first reason when every address of a host failed', () => {
  const both = new AggregateError([Object.assign(new Error(''), { code: 'ECONNREFUSED' }), new Error('other')]);
  expect(explain(new UnreachableError(URL_, both), {}).message).toContain('nothing listens there');
});

it('says how to sign in again, and where a token came from', () => {
  const error = refusal(401, 'unauthenticated', 'this token is unknown');
  expect(explain(error, {}).message).toBe(`not signed in to ${URL_} any more: drawbridge login ${URL_}`);
  expect(explain(error, { DRAWBRIDGE_URL: URL_ }).message).toBe(
    `${URL_} refuses the token of the environment (DRAWBRIDGE_TOKEN): this token is unknown`,
  );
});

it.each([
  ['agent_not_found', 404, 'drawbridge agents ls'],
  ['task_not_found', 404, 'drawbridge tasks ls'],
  ['forbidden', 403, 'drawbridge whoami'],
])('says for %s what to do next', (code, status, next) => {
  expect(explain(refusal(status, code, 'what and why'), {}).message).toMatch(new RegExp(`^what and why: .*${next}`));
});

it.each([
  [new UsageError('x'), { code: 'usage', message: 'x' }],
  [new NotSignedInError('x'), { code: 'unauthenticated', message: 'x' }],
  [new Interrupted(), { code: 'interrupted', message: 'interrupted' }],
  [unreachable('ECONNREFUSED'), { code: 'unreachable' }],
  [refusal(409, 'conflict'), { code: 'conflict', message: 'no', request_id: 'r1' }],
  [new TypeError('bug'), { code: 'internal', message: 'bug' }],
  ['thrown text', { code: 'internal', message: 'unknown error' }],
])('has a code for %s', (error, expected) => {
  expect(explain(error, {})).toMatchObject(expected);
});

it('keeps to one line that does nothing to a terminal', () => {
  const error = refusal(409, 'conflict', 'one\n  two\u001b[2J\r\u0007');
  expect(explain(error, {}).message).toBe('one two');
});

it('says in words why a target was not reached, and keeps the code', () => {
  expect(explain(new ControlError('target_unreachable', 'db:5432: ECONNREFUSED'), {})).toEqual({
    code: 'target_unreachable',
    message: 'db:5432: nothing listens there',
  });
  expect(explain(new ControlError('tunnel_not_found', 'no tunnel x'), {}).message).toContain('"drawbridge tunnels ls');
  expect(explain(new ControlError('forbidden', 'a: EWHATEVER'), {}).message).toMatch(/^a: EWHATEVER: /);
});

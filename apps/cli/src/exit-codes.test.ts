import { ApiError, ControlError, UnreachableError } from '@drawbridge/client';
import type { TaskView } from '@drawbridge/client';
import { expect, it } from 'vitest';
import { Interrupted, NotSignedInError, UsageError, exitCodeOf, exitCodeOfTask } from './exit-codes.ts';
import { parseDuration } from './durations.ts';

function refusal(status: number, code = 'x'): ApiError {
  return new ApiError({ code, message: '', status });
}

it.each([
  [2, new UsageError('no')],
  [2, refusal(422, 'invalid_request')],
  [2, refusal(422, 'password_weak')],
  [3, new NotSignedInError('no')],
  [3, refusal(401)],
  [3, refusal(403)],
  [4, refusal(404)],
  [5, refusal(409)],
  [5, refusal(429)],
  [5, refusal(413)],
  [5, refusal(503, 'port_pool_exhausted')],
  [6, new UnreachableError('http://a', undefined)],
  [6, refusal(503, 'agent_offline')],
  [6, refusal(502)],
  [6, refusal(503)],
  [7, refusal(504)],
  [7, refusal(200, 'command_timeout')],
  [7, refusal(409, 'expired')],
  [7, refusal(410)],
  [8, refusal(409, 'indeterminate')],
  [130, new Interrupted()],
  [1, new ControlError('target_unreachable', 'no')],
  [3, new ControlError('operation_not_allowed', 'no')],
  [3, new ControlError('forbidden', 'no')],
  [4, new ControlError('tunnel_not_found', 'no')],
  [5, new ControlError('domain_limit', 'no')],
  [6, new ControlError('tunnel_unavailable', 'no')],
  [7, new ControlError('timed_out', 'no')],
  [1, refusal(500)],
  [1, new TypeError('bug')],
])('exits with %i for %s', (code, error) => {
  expect(exitCodeOf(error)).toBe(code);
});

it.each([
  ['succeeded', 0, 0],
  ['failed', 42, 42],
  ['failed', null, 1],
  ['failed', 0, 1],
  ['timed_out', null, 7],
  ['expired', null, 7],
  ['indeterminate', null, 8],
  ['cancelled', null, 130],
] as const)('exits for a task that %s with %s with %i', (state, exitCode, code) => {
  const task = { state, exit_code: exitCode } as TaskView;
  expect(exitCodeOfTask(task)).toBe(code);
});

it.each([
  ['90', 90],
  ['90s', 90],
  ['30m', 1_800],
  ['2h', 7_200],
  ['1d', 86_400],
])('reads the duration %s', (text, seconds) => {
  expect(parseDuration(text)).toBe(seconds);
});

it.each(['', 'm', '-1', '1.5h', '1w', '1h30m', '9999999999', ' 1'])('reads no duration of %j', (text) => {
  expect(() => parseDuration(text)).toThrow(UsageError);
});

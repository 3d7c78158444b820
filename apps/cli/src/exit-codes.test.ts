import { ApiError, UnreachableError } from '@drawbridge/client';
import type { TaskView } from '@drawbridge/client';
import { expect, it } from 'vitest';
import { UsageError, exitCodeOf, exitCodeOfTask } from './exit-codes.ts';
import { parseDuration } from './durations.ts';

function refusal(status: number, code = 'x'): ApiError {
  return new ApiError({ code, message: '', status });
}

it.each([
  [2, new UsageError('no')],
  [2, refusal(422, 'invalid_request')],
  [3, refusal(401)],
  [3, refusal(403)],
  [4, refusal(404)],
  [5, refusal(409)],
  [5, refusal(429)],
  [6, new UnreachableError('http://a', undefined)],
  [6, refusal(503, 'agent_offline')],
  [6, refusal(502)],
  [7, refusal(504)],
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

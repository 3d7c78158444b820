import { FakeClock } from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import { loadServerConfig } from '../config.ts';
import { rateLimits } from './rate-limits.ts';
import type { RateLimits } from './rate-limits.ts';

it.each<[name: keyof RateLimits, burst: number, refusal: RegExp, retrySeconds: number]>([
  ['commands', 1_000, /agent a gets at most 100 commands a second/, 1],
  ['requests', 1_200, /limits\.requests_per_minute/, 1],
  ['attempts', 30, /limits\.auth_attempts_per_minute/, 2],
  ['passwordsOfAccount', 5, /5 passwords a minute/, 12],
  ['passwordsOfAddress', 20, /20 passwords a minute/, 3],
])('bounds %s by %i', (name, burst, refusal, retrySeconds) => {
  const buckets = rateLimits(loadServerConfig({ env: {} }).limits, new FakeClock())[name];
  for (let token = 0; token < burst; token += 1) buckets.take('a');
  expect(() => buckets.take('a')).toThrow(
    expect.objectContaining({
      code: 'rate_limited',
      message: expect.stringMatching(refusal),
      details: { retry_after_seconds: retrySeconds },
    }),
  );
  expect(() => buckets.take('b')).not.toThrow();
});

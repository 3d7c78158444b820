import { FakeClock } from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import { RateLimit } from './rate-limit.ts';

const RATE = { perSecond: 2, burst: 3 };

it('lets a burst through, then a steady rate, and says when to come back', async () => {
  const clock = new FakeClock();
  const limit = new RateLimit(RATE, clock);
  for (let command = 0; command < 3; command += 1) limit.take('a');
  expect(() => limit.take('a')).toThrow(
    expect.objectContaining({ code: 'rate_limited', details: { retry_after_seconds: 1 } }),
  );
  await clock.advance(500);
  limit.take('a');
  expect(() => limit.take('a')).toThrow(/at most 2 commands a second/);
});

it('counts each agent for itself', () => {
  const limit = new RateLimit(RATE, new FakeClock());
  for (let command = 0; command < 3; command += 1) limit.take('a');
  expect(() => limit.take('b')).not.toThrow();
});

it('never gives more than the burst, however long an agent was left alone', async () => {
  const clock = new FakeClock();
  const limit = new RateLimit(RATE, clock);
  limit.take('a');
  await clock.advance(3_600_000);
  for (let command = 0; command < 3; command += 1) limit.take('a');
  expect(() => limit.take('a')).toThrow(/at most/);
});

import { FakeClock, withSeed } from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import { TokenBuckets } from './token-buckets.ts';

const RATE = { perSecond: 2, burst: 3 };

function buckets(clock: FakeClock, more: { bucketsMax?: number } = {}) {
  return new TokenBuckets({ rate: RATE, clock, refusal: (key) => `${key}: at most 2 a second`, ...more });
}

function drain(bucket: TokenBuckets, key: string): void {
  for (let token = 0; token < RATE.burst; token += 1) bucket.take(key);
}

it('lets a burst through, then a steady rate, and says when to come back', async () => {
  const clock = new FakeClock();
  const limit = buckets(clock);
  drain(limit, 'a');
  expect(() => limit.take('a')).toThrow(
    expect.objectContaining({ code: 'rate_limited', details: { retry_after_seconds: 1 } }),
  );
  await clock.advance(500);
  limit.take('a');
  expect(() => limit.take('a')).toThrow('a: at most 2 a second');
});

it('counts each key for itself', () => {
  const limit = buckets(new FakeClock());
  drain(limit, 'a');
  expect(() => limit.take('b')).not.toThrow();
});

it('never gives more than the burst, however long a key was left alone', async () => {
  const clock = new FakeClock();
  const limit = buckets(clock);
  // The two that were idle longest are looked at, and forgotten; 'a' is remembered, and must not have grown.
  for (const key of ['x', 'y', 'a']) limit.take(key);
  await clock.advance(3_600_000);
  drain(limit, 'a');
  expect(() => limit.take('a')).toThrow(/at most/);
});

it('asks for patience in whole seconds, a minute and more where the rate is small', () => {
  const clock = new FakeClock();
  const limit = new TokenBuckets({ rate: { perSecond: 1 / 90, burst: 1 }, clock, refusal: () => 'no' });
  limit.take('a');
  expect(() => limit.take('a')).toThrow(expect.objectContaining({ details: { retry_after_seconds: 90 } }));
});

it('checks without taking, and spends without refusing', () => {
  const limit = buckets(new FakeClock());
  for (let look = 0; look < 10; look += 1) limit.check('a');
  for (let token = 0; token < 10; token += 1) limit.spend('a');
  expect(() => limit.check('a')).toThrow(expect.objectContaining({ code: 'rate_limited' }));
});

it('forgets who has a full bucket again', async () => {
  const clock = new FakeClock();
  const limit = buckets(clock);
  for (let key = 0; key < 100; key += 1) limit.take(`key-${key}`);
  await clock.advance(1_500);
  for (let key = 0; key < 100; key += 1) limit.take(`another-${key}`);
  expect([limit.size, limit.dropped]).toEqual([100, 0]);
});

it('drops who was idle longest at its bound, counts that, and keeps who is over the limit', () => {
  const limit = buckets(new FakeClock(), { bucketsMax: 2 });
  limit.take('busy');
  limit.take('idle');
  limit.take('busy');
  limit.take('busy');
  limit.take('new');
  expect([limit.size, limit.dropped]).toEqual([2, 1]);
  expect(() => limit.take('busy')).toThrow(/at most/);
});

it('lets nobody have more than the burst and the rate, whatever the order', async () => {
  await withSeed(async (random) => {
    const clock = new FakeClock();
    const limit = buckets(clock);
    const taken = new Map<string, number>();
    for (let step = 0; step < 500; step += 1) {
      const key = `key-${random.integer(0, 4)}`;
      try {
        limit.take(key);
        taken.set(key, (taken.get(key) ?? 0) + 1);
      } catch {
        // Refused: that is what is counted by not counting it.
      }
      await clock.advance(random.integer(0, 49));
    }
    const most = RATE.burst + (clock.monotonic() / 1000) * RATE.perSecond;
    for (const count of taken.values()) expect(count).toBeLessThanOrEqual(most);
  });
});

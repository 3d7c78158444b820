import { LIMITS } from '@drawbridge/protocol';
import { expect, it } from 'vitest';
import { AdaptiveInterval } from './adaptive-interval.ts';

const losses = (...quietMs: number[]) => quietMs.map((quiet) => ({ livedMs: 90_000, quietMs: quiet }));

function decide(interval: AdaptiveInterval, ...quietMs: number[]) {
  return losses(...quietMs).map((loss) => interval.lost(loss)?.intervalMs);
}

it('lowers the interval below a silence after which links die again and again', () => {
  const interval = new AdaptiveInterval(20_000);
  expect(decide(interval, 15_000, 15_200)).toEqual([undefined, undefined]);
  expect(interval.lost({ livedMs: 90_000, quietMs: 15_050 })).toEqual({
    fromMs: 20_000,
    intervalMs: 9_000,
    quietMs: 15_000,
    losses: 3,
  });
  expect(interval.intervalMs).toBe(9_000);
});

it.each([
  ['silences differ', [4_000, 9_000, 15_000, 7_000]],
  ['there was no silence', [10, 20, 10, 20]],
  ['the silence was longer than the interval, so heartbeats had passed', [30_000, 30_000, 30_000]],
  ['another kind of loss comes between', [15_000, 15_000, 10, 15_000, 15_000]],
])('changes nothing when %s', (_why, quietMs) => {
  const interval = new AdaptiveInterval(20_000);
  expect(decide(interval, ...quietMs).every((decision) => decision === undefined)).toBe(true);
  expect(interval.intervalMs).toBe(20_000);
});

it('ignores links that never carried a byte', () => {
  const interval = new AdaptiveInterval(20_000);
  for (let times = 0; times < 3; times += 1) expect(interval.lost({ livedMs: 5_000, quietMs: 5_000 })).toBeUndefined();
});

it('goes lower when that was not enough, down to the floor and no further', () => {
  const interval = new AdaptiveInterval(20_000);
  decide(interval, 15_000, 15_000, 15_000, 5_000, 5_000, 5_000);
  expect(interval.intervalMs).toBe(3_000);
  decide(interval, 1_200, 1_200, 1_200);
  expect(interval.intervalMs).toBe(LIMITS.heartbeatIntervalMsMin);
  expect(decide(interval, 1_000, 1_000, 1_000)).toEqual([undefined, undefined, undefined]);
});

it('wants new evidence after each change', () => {
  const interval = new AdaptiveInterval(20_000);
  expect(decide(interval, 8_000, 8_000, 8_000, 5_000, 5_000, 5_000)).toEqual([
    undefined,
    undefined,
    4_800,
    undefined,
    undefined,
    3_000,
  ]);
});

it('starts over when it is given another interval', () => {
  const interval = new AdaptiveInterval(20_000);
  decide(interval, 15_000, 15_000);
  interval.reset(30_000);
  expect(decide(interval, 15_000)).toEqual([undefined]);
  expect(interval.intervalMs).toBe(30_000);
});

import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { BACKOFF, backoffMs } from './backoff.ts';

const attempts = [0, 1, 2, 5, 6, 50, 5_000];

it.each([
  ['full_jitter', 1, [1_000, 2_000, 4_000, 32_000, 60_000, 60_000, 60_000]],
  ['full_jitter', 0.5, [500, 1_000, 2_000, 16_000, 30_000, 30_000, 30_000]],
  ['full_jitter', 0, [0, 0, 0, 0, 0, 0, 0]],
  ['added_jitter', 0, [1_000, 2_000, 4_000, 32_000, 60_000, 60_000, 60_000]],
  ['added_jitter', 1, [1_100, 2_200, 4_400, 35_200, 66_000, 66_000, 66_000]],
  ['random_exponent', 0, [2_000, 2_000, 2_000, 2_000, 2_000, 2_000, 2_000]],
  ['random_exponent', 1, [16_000, 16_000, 16_000, 16_000, 16_000, 16_000, 16_000]],
] as const)('%s waits, when random is %d', (preset, random, expected) => {
  expect(attempts.map((attempt) => Math.round(backoffMs(BACKOFF[preset], attempt, () => random)))).toEqual(expected);
});

it('minds every setting', () => {
  const options = { preset: 'full_jitter', baseMs: 10, maxMs: 500, factor: 3, attemptsMax: -1 } as const;
  expect([0, 1, 2, 9].map((attempt) => backoffMs(options, attempt, () => 1))).toEqual([10, 30, 90, 500]);
  expect(backoffMs({ ...options, preset: 'random_exponent' }, 0, () => 1)).toBe(270);
});

it('is never negative, and never more than a tenth over the maximum', () => {
  const preset = fc.constantFrom(...Object.values(BACKOFF));
  fc.assert(
    fc.property(preset, fc.nat(), fc.double({ min: 0, max: 1, noNaN: true }), (options, attempt, random) => {
      const waitMs = backoffMs(options, attempt, () => random);
      expect(waitMs).toBeGreaterThanOrEqual(0);
      expect(waitMs).toBeLessThanOrEqual(options.maxMs * 1.1);
    }),
  );
});

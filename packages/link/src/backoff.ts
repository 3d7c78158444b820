/**
 * How the wait before the next attempt grows (PROTOCOL.md §2.3). `full_jitter`: anything up to the bound, the default.
 * `added_jitter`: the bound and up to a tenth more. `random_exponent`: the same range for every attempt.
 */
export type BackoffPreset = 'full_jitter' | 'added_jitter' | 'random_exponent';

/** Everything about back-off that a person may set. */
export interface BackoffOptions {
  readonly preset: BackoffPreset;
  readonly baseMs: number;
  readonly maxMs: number;
  /** What the bound is multiplied by with every attempt. */
  readonly factor: number;
  /** Attempts in a row that may fail; -1 for no end. */
  readonly attemptsMax: number;
}

/** Each preset with its own numbers. */
export const BACKOFF = {
  full_jitter: { preset: 'full_jitter', baseMs: 1_000, maxMs: 60_000, factor: 2, attemptsMax: -1 },
  added_jitter: { preset: 'added_jitter', baseMs: 1_000, maxMs: 60_000, factor: 2, attemptsMax: -1 },
  random_exponent: { preset: 'random_exponent', baseMs: 2_000, maxMs: 30_000, factor: 2, attemptsMax: -1 },
} as const satisfies Record<BackoffPreset, BackoffOptions>;

const ADDED_JITTER = 0.1;
const RANDOM_EXPONENT_MAX = 3;

/** How long to wait before the attempt after `attempt` (0 for the first one) failed. */
export function backoffMs(options: BackoffOptions, attempt: number, random: () => number): number {
  const { preset, baseMs, maxMs, factor } = options;
  const boundMs = Math.min(baseMs * factor ** attempt, maxMs);
  switch (preset) {
    case 'full_jitter':
      return boundMs * random();
    case 'added_jitter':
      return boundMs * (1 + ADDED_JITTER * random());
    case 'random_exponent':
      return Math.min(baseMs * factor ** (random() * RANDOM_EXPONENT_MAX), maxMs);
  }
}

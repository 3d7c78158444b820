import { percentile } from './percentile.ts';

/** The middle one: a round in which the machine did something else does not count. */
export function median(samples: readonly number[]): number {
  return percentile(samples, 0.5);
}

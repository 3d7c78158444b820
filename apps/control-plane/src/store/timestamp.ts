import type { Clock } from '@drawbridge/link';

/** Now, as the store writes it. */
export function timestamp(clock: Pick<Clock, 'now'>, plusMs = 0): string {
  return new Date(clock.now() + plusMs).toISOString();
}

/** A time that somebody else wrote, with fewer digits or more, as the store writes it. */
export function storedTime(isoText: string): string {
  return new Date(isoText).toISOString();
}

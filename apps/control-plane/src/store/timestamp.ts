import type { Clock } from '@drawbridge/link';

/** Now, as the store writes it. */
export function timestamp(clock: Pick<Clock, 'now'>, plusMs = 0): string {
  return new Date(clock.now() + plusMs).toISOString();
}

import type { Clock } from '@drawbridge/link';
import type { Bus, Topic } from './bus.ts';

/** Looks again at least this often, should a wake-up be lost. */
const POLL_MS = 5_000;

/**
 * Calls `look` now and after every change of `topic` until it returns something, and returns that. Rejects with
 * `signal.reason` once `signal` aborts.
 */
export async function waitUntil<T>(
  { bus, clock }: { bus: Bus; clock: Clock },
  topic: Topic,
  look: () => Promise<T | undefined> | T | undefined,
  signal: AbortSignal,
): Promise<T> {
  let changed = Promise.withResolvers<void>();
  const unsubscribe = bus.subscribe(topic, () => changed.resolve());
  try {
    for (;;) {
      signal.throwIfAborted();
      const found = await look();
      if (found !== undefined) return found;
      const nap = new AbortController();
      try {
        await Promise.race([changed.promise, clock.sleep(POLL_MS, AbortSignal.any([signal, nap.signal]))]);
      } finally {
        nap.abort(new Error('woken'));
      }
      changed = Promise.withResolvers();
    }
  } finally {
    unsubscribe();
  }
}

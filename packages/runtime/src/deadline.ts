import type { Clock } from '@drawbridge/link';

/** How long a piece of work may take, and what it is called off with when it takes longer. */
export interface Deadline {
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly onTimeout: () => Error;
}

/**
 * Runs `work` with a signal that aborts with `signal`, or when the time is up. Rejects with `signal.reason` or `onTimeout()`
 * as soon as that happens; the work sees the same reason and cleans up.
 */
export async function withDeadline<T>(
  { clock, timeoutMs, onTimeout }: Deadline,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const limit = new AbortController();
  const timer = clock.after(timeoutMs, () => limit.abort(onTimeout()));
  const forward = () => limit.abort(signal.reason);
  signal.addEventListener('abort', forward, { once: true });
  try {
    return await work(limit.signal);
  } catch (error) {
    limit.signal.throwIfAborted();
    throw error;
  } finally {
    timer.cancel();
    signal.removeEventListener('abort', forward);
  }
}

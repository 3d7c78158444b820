import { isPassing } from './errors.ts';

/** How to get over a control plane that is away for a while. */
export interface RetryOptions {
  /** Waits; rejects when the signal aborts. */
  readonly sleep: (delayMs: number, signal?: AbortSignal) => Promise<void>;
  /** How long without any success before it is given up. */
  readonly patienceMs: number;
  readonly nowMs: () => number;
  readonly onRetry?: (error: unknown, delayMs: number) => void;
}

const DELAY_MS_MIN = 200;
const DELAY_MS_MAX = 5_000;

/** The delay before attempt number `attempt` (from 1) is repeated. */
export function delayMs(attempt: number): number {
  return Math.min(DELAY_MS_MIN * 2 ** (attempt - 1), DELAY_MS_MAX);
}

/** Repeats `work` while what it rejects with may pass, until the patience is over. */
export async function retrying<T>(work: () => Promise<T>, retry: RetryOptions, signal?: AbortSignal): Promise<T> {
  const sinceMs = retry.nowMs();
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      signal?.throwIfAborted();
      const waitMs = delayMs(attempt);
      if (!isPassing(error) || retry.nowMs() + waitMs - sinceMs > retry.patienceMs) throw error;
      retry.onRetry?.(error, waitMs);
      await retry.sleep(waitMs, signal);
    }
  }
}

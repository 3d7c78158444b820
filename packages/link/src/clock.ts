/** A timer that has not fired yet. Cancelling twice is fine. */
export interface Timer {
  cancel(): void;
}

/** Time as a parameter: production code never asks the platform itself. */
export interface Clock {
  /** UTC in milliseconds since 1970; may jump when the machine's clock is set. */
  now(): number;
  /** Milliseconds that never go back; only differences mean anything. */
  monotonic(): number;
  /** Calls `callback` once, `delayMs` from now. */
  after(delayMs: number, callback: () => void): Timer;
  /** Resolves after `delayMs`; rejects with `signal.reason` as soon as `signal` aborts, leaving no timer. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

/** Longer delays overflow the platform's timers and would fire at once. */
const DELAY_MS_MAX = 2_147_483_647;

/** The clock of the machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, callback) {
    const handle = setTimeout(callback, Math.min(delayMs, DELAY_MS_MAX));
    return { cancel: () => clearTimeout(handle) };
  },
  sleep: (delayMs, signal) => sleepOn(systemClock, delayMs, signal),
};

/** `Clock.sleep` in terms of `Clock.after`: shared by every clock. */
export function sleepOn(clock: Pick<Clock, 'after'>, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason);
      return;
    }
    const aborted = () => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = clock.after(delayMs, () => {
      signal?.removeEventListener('abort', aborted);
      resolve();
    });
    signal?.addEventListener('abort', aborted, { once: true });
  });
}

/** Resolves or rejects with `work`, or rejects with `onTimeout()` after `limitMs`. The timer never outlives the race. */
export async function withTimeout<T>(
  clock: Clock,
  limitMs: number,
  work: Promise<T>,
  onTimeout: () => Error,
): Promise<T> {
  let timer: Timer | undefined;
  const limit = new Promise<never>((_resolve, reject) => {
    timer = clock.after(limitMs, () => reject(onTimeout()));
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    timer?.cancel();
  }
}

import { sleepOn } from '@drawbridge/link';
import type { Clock, Timer } from '@drawbridge/link';

interface Pending {
  readonly atMs: number;
  readonly callback: () => void;
}

/** Some day in 2026, so that times in a test look like times. */
const START_MS = Date.UTC(2026, 0, 7, 10);

/** Time that passes only when a test says so. */
export class FakeClock implements Clock {
  /** Every delay that was asked for with `sleep`, in order. */
  readonly sleeps: number[] = [];
  readonly #pending = new Set<Pending>();
  #elapsedMs = 0;
  #skewMs = 0;

  now(): number {
    return START_MS + this.#elapsedMs + this.#skewMs;
  }

  monotonic(): number {
    return this.#elapsedMs;
  }

  /** Timers that have not fired: a test can assert that none is left. */
  get pending(): number {
    return this.#pending.size;
  }

  after(delayMs: number, callback: () => void): Timer {
    const timer = { atMs: this.#elapsedMs + Math.max(0, delayMs), callback };
    this.#pending.add(timer);
    // What is due needs no time to pass, as on every clock: only who sets it has to be done first.
    if (delayMs <= 0) setImmediate(() => this.#fire(timer));
    return { cancel: () => this.#pending.delete(timer) };
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    this.sleeps.push(delayMs);
    return sleepOn(this, delayMs, signal);
  }

  /** Somebody sets the machine's clock: `now` jumps, `monotonic` and timers do not. */
  skew(byMs: number): void {
    this.#skewMs += byMs;
  }

  /** Lets `byMs` pass: fires what is due, in order, and lets what follows from each settle before the next. */
  async advance(byMs: number): Promise<void> {
    const untilMs = this.#elapsedMs + byMs;
    await settle();
    for (let timer = this.#due(untilMs); timer !== undefined; timer = this.#due(untilMs)) {
      this.#elapsedMs = timer.atMs;
      this.#fire(timer);
      await settle();
    }
    this.#elapsedMs = untilMs;
  }

  #fire(timer: Pending): void {
    if (this.#pending.delete(timer)) timer.callback();
  }

  /** The earliest timer up to then; of two at the same time, the one that was set first. */
  #due(untilMs: number): Pending | undefined {
    let first: Pending | undefined;
    for (const timer of this.#pending) {
      if (timer.atMs <= untilMs && (first === undefined || timer.atMs < first.atMs)) first = timer;
    }
    return first;
  }
}

/** Resolves when every promise that can settle without time or I/O has done so. */
export function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

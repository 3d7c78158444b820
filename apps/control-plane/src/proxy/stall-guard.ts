import type { Clock, Timer } from '@drawbridge/link';

/** Calls `onStalled` once nothing has moved for as long as is allowed at the moment. Cheap to tell that something has. */
export class StallGuard implements Disposable {
  readonly #clock: Clock;
  readonly #onStalled: () => void;
  #allowedMs: number;
  #movedMs: number;
  #timer: Timer;

  constructor(clock: Clock, allowedMs: number, onStalled: () => void) {
    this.#clock = clock;
    this.#allowedMs = allowedMs;
    this.#onStalled = onStalled;
    this.#movedMs = clock.monotonic();
    this.#timer = clock.after(allowedMs, this.#look);
  }

  moved(): void {
    this.#movedMs = this.#clock.monotonic();
  }

  /** From now on something has to move within this time. */
  allow(allowedMs: number): void {
    this.#timer.cancel();
    this.#allowedMs = allowedMs;
    this.moved();
    this.#timer = this.#clock.after(allowedMs, this.#look);
  }

  [Symbol.dispose](): void {
    this.#timer.cancel();
  }

  readonly #look = (): void => {
    const leftMs = this.#movedMs + this.#allowedMs - this.#clock.monotonic();
    if (leftMs <= 0) this.#onStalled();
    else this.#timer = this.#clock.after(leftMs, this.#look);
  };
}

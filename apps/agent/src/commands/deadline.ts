import { ControlError } from '@drawbridge/protocol';
import type { Clock, Timer } from '@drawbridge/link';

/** A signal that aborts with its parent, or with `command_timeout` when the time is over. Disposing it leaves no timer. */
export class Deadline implements Disposable {
  readonly signal: AbortSignal;
  readonly #timer: Timer | undefined;

  /** Without `limitMs` only the parent counts. */
  constructor(clock: Clock, limitMs: number | undefined, parent: AbortSignal) {
    const timeout = new AbortController();
    this.signal = AbortSignal.any([parent, timeout.signal]);
    if (limitMs === undefined) return;
    this.#timer = clock.after(limitMs, () => {
      timeout.abort(new ControlError('command_timeout', `no outcome within ${limitMs} ms`));
    });
  }

  [Symbol.dispose](): void {
    this.#timer?.cancel();
  }
}

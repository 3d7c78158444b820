import { ControlError } from '@drawbridge/protocol';

/** A place for one connection that has not shown who it is. */
export interface Stranger extends Disposable {
  /** It has authenticated: the place is free for the next. Calling it twice is fine. */
  isKnown(): void;
}

/** Bounds the unauthenticated connections of one address: at the bound, 429. */
export class Strangers {
  readonly #counts = new Map<string, number>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  /** Throws ControlError `rate_limited` when too many of this address wait already. */
  admit(address: string): Stranger {
    const count = this.#counts.get(address) ?? 0;
    if (count >= this.#max)
      throw new ControlError('rate_limited', `${count} connections of ${address} have not authenticated yet`);
    this.#counts.set(address, count + 1);
    let counted = true;
    const leave = () => {
      if (!counted) return;
      counted = false;
      const left = (this.#counts.get(address) ?? 1) - 1;
      if (left === 0) this.#counts.delete(address);
      else this.#counts.set(address, left);
    };
    return { isKnown: leave, [Symbol.dispose]: leave };
  }
}

import type { Clock } from '@drawbridge/link';

/** An answer that is asked for often and looked up seldom: at most once in `intervalMs`, and never twice at a time. */
export class Cached<T> {
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #lookUp: () => Promise<T>;
  #answer: { readonly value: T; readonly at: number } | undefined;
  #looking: Promise<T> | undefined;

  constructor(clock: Clock, intervalMs: number, lookUp: () => Promise<T>) {
    this.#clock = clock;
    this.#intervalMs = intervalMs;
    this.#lookUp = lookUp;
  }

  /** The answer, as old as the interval at most. A failure is not kept. */
  get(): Promise<T> {
    const answer = this.#answer;
    if (answer !== undefined && this.#clock.monotonic() - answer.at < this.#intervalMs) {
      return Promise.resolve(answer.value);
    }
    this.#looking ??= this.#look();
    return this.#looking;
  }

  async #look(): Promise<T> {
    try {
      const value = await this.#lookUp();
      this.#answer = { value, at: this.#clock.monotonic() };
      return value;
    } finally {
      this.#looking = undefined;
    }
  }
}

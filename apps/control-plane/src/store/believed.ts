import type { Clock } from '@drawbridge/link';

export interface BelievedOptions {
  readonly clock: Pick<Clock, 'monotonic'>;
  /** How long an answer is believed: a change made on another node takes effect within it. */
  readonly forMs: number;
  /** Answers kept at once; with one more the oldest gives way. */
  readonly keptMax: number;
}

/** Answers of the store that are believed for a while: who asks the same thing at the same time shares one answer. */
export class Believed<Answer> {
  readonly #options: BelievedOptions;
  readonly #answers = new Map<string, { readonly answer: Promise<Answer>; readonly untilMs: number }>();

  constructor(options: BelievedOptions) {
    this.#options = options;
  }

  /** The answer to `key` that is believed, or the one that `find` gives now. A failure is not kept. */
  of(key: string, find: () => Promise<Answer>): Promise<Answer> {
    const nowMs = this.#options.clock.monotonic();
    const known = this.#answers.get(key);
    if (known !== undefined && known.untilMs > nowMs) return known.answer;
    const entry = { answer: find(), untilMs: nowMs + this.#options.forMs };
    this.#answers.delete(key);
    const oldest = this.#answers.keys().next();
    if (this.#answers.size >= this.#options.keptMax && oldest.done !== true) this.#answers.delete(oldest.value);
    this.#answers.set(key, entry);
    entry.answer.catch(() => {
      if (this.#answers.get(key) === entry) this.#answers.delete(key);
    });
    return entry.answer;
  }

  /** What was asked before is asked again: one thing, or everything. */
  forget(key?: string): void {
    if (key === undefined) this.#answers.clear();
    else this.#answers.delete(key);
  }
}

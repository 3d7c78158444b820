/** Something that is kept in the order of its number. */
export interface Kept {
  /** 1, 2, 3, … without a gap. */
  readonly number: number;
  readonly atMs: number;
}

/** The newest items, bounded by number and by age; the oldest go first. Readers keep a number and nothing else. */
export class EventRing<Item extends Kept> {
  readonly #items: (Item | undefined)[];
  readonly #keptMs: number;
  #newest = 0;

  constructor(kept: number, keptMs: number) {
    this.#items = Array.from({ length: kept });
    this.#keptMs = keptMs;
  }

  /** The number of the last item; 0 when there was none. */
  get newest(): number {
    return this.#newest;
  }

  /** Its number must follow on `newest`. */
  push(item: Item): void {
    if (item.number !== this.#newest + 1) throw new Error(`event ${item.number} after ${this.#newest}`);
    this.#newest = item.number;
    this.#items[item.number % this.#items.length] = item;
  }

  /**
   * The item that follows number `after`; `gone` when that one is not kept any more; undefined when there is none yet.
   */
  next(after: number, nowMs: number): Item | 'gone' | undefined {
    if (after === this.#newest) return undefined;
    const item = this.#items[(after + 1) % this.#items.length];
    if (item?.number !== after + 1 || nowMs - item.atMs > this.#keptMs) return 'gone';
    return item;
  }
}

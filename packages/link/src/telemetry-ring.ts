import { LIMITS } from '@drawbridge/protocol';

/** How a TelemetryRing is bounded, and who hears that it was. */
export interface TelemetryRingOptions {
  readonly capacity?: number;
  /** Once per episode, when it is over: so many items were dropped since the ring was last empty. */
  readonly onDropped: (dropped: number) => void;
}

/** Items that wait for a link, the newest of them: at the bound the oldest are dropped, and counted (S0-053..063). */
export class TelemetryRing<Item> {
  readonly capacity: number;
  readonly #onDropped: (dropped: number) => void;
  readonly #items: Item[] = [];
  #dropped = 0;
  #droppedInEpisode = 0;

  constructor(options: TelemetryRingOptions) {
    this.capacity = options.capacity ?? LIMITS.telemetryItemsMax;
    this.#onDropped = options.onDropped;
  }

  /** Items that wait. */
  get depth(): number {
    return this.#items.length;
  }

  /** All items ever dropped. */
  get dropped(): number {
    return this.#dropped;
  }

  push(item: Item): void {
    this.#items.push(item);
    if (this.#items.length <= this.capacity) return;
    this.#items.shift();
    this.#dropped += 1;
    this.#droppedInEpisode += 1;
  }

  /** Sends what waits, oldest first, until `send` says that the link is gone again; the rest stays. */
  flush(send: (item: Item) => boolean): void {
    for (let item = this.#items[0]; item !== undefined; item = this.#items[0]) {
      if (!send(item)) return;
      this.#items.shift();
    }
    const dropped = this.#droppedInEpisode;
    this.#droppedInEpisode = 0;
    if (dropped > 0) this.#onDropped(dropped);
  }
}

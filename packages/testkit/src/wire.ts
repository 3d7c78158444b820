import type { Clock, SocketEnd, Timer } from '@drawbridge/link';

/** What goes wrong in one direction. Messages are counted from 0, in the order they were sent. */
export interface WireFaults {
  /** The connection is cut once this many messages were delivered. */
  readonly cutAfter?: number;
  /** These messages arrive twice. */
  readonly duplicate?: readonly number[];
  /** These messages arrive after the one that follows them. */
  readonly reorder?: readonly number[];
}

/** What travels on a wire. */
export type Parcel =
  | { readonly kind: 'message'; readonly message: string | Uint8Array }
  | { readonly kind: 'close'; readonly end: SocketEnd; readonly onDelivered: () => void };

/** Who is at the far end of a wire. */
export interface WireReceiver {
  message(message: string | Uint8Array): void;
  closed(end: SocketEnd): void;
}

interface WireOptions {
  readonly faults: WireFaults | undefined;
  readonly delay: { readonly clock: Clock; readonly latencyMs: number } | undefined;
  readonly onCut: () => void;
}

/** One direction of a connection in memory. */
export class Wire {
  /** Called when the last byte that waited was taken by the network. */
  onDrained: () => void = () => {};
  readonly #options: WireOptions;
  readonly #waiting: Parcel[] = [];
  /** Who keeps bytes from moving: a test, or a reader that paused. */
  readonly #stalledBy = new Set<'test' | 'reader'>();
  readonly #travelling = new Set<Timer>();
  #receiver: WireReceiver | undefined;
  #held: Parcel | undefined;
  #bufferedBytes = 0;
  #bufferedBytesHighest = 0;
  #taken = 0;
  #delivered = 0;
  #pumping = false;
  #stopped = false;

  constructor(options: WireOptions) {
    this.#options = options;
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  /** The most that ever waited: what a sender that minds its limits keeps low. */
  get bufferedBytesHighest(): number {
    return this.#bufferedBytesHighest;
  }

  /** Messages that have arrived. */
  get delivered(): number {
    return this.#delivered;
  }

  /** Nothing moves until `release`. */
  stall(by: 'test' | 'reader' = 'test'): void {
    this.#stalledBy.add(by);
  }

  release(by: 'test' | 'reader' = 'test'): void {
    this.#stalledBy.delete(by);
    this.#pump();
  }

  put(parcel: Parcel): void {
    this.#waiting.push(parcel);
    this.#bufferedBytes += sizeOf(parcel);
    this.#bufferedBytesHighest = Math.max(this.#bufferedBytesHighest, this.#bufferedBytes);
    this.#pump();
  }

  connect(receiver: WireReceiver): void {
    this.#receiver = receiver;
    this.#cutWhenDue();
    this.#pump();
  }

  /** The connection is over; nothing is delivered any more. */
  stop(): void {
    this.#stopped = true;
    this.#waiting.length = 0;
    this.#bufferedBytes = 0;
    for (const timer of this.#travelling) timer.cancel();
    this.#travelling.clear();
  }

  /** Takes one parcel per microtask, so that whoever sends has returned before anything arrives. */
  #pump(): void {
    if (this.#pumping || !this.#canMove()) return;
    this.#pumping = true;
    queueMicrotask(() => {
      this.#pumping = false;
      if (!this.#canMove()) return;
      const parcel = this.#waiting.shift();
      if (parcel !== undefined) this.#take(parcel);
      this.#pump();
    });
  }

  #canMove(): boolean {
    return !this.#stopped && this.#receiver !== undefined && this.#stalledBy.size === 0 && this.#waiting.length > 0;
  }

  #take(parcel: Parcel): void {
    const { duplicate = [], reorder = [] } = this.#options.faults ?? {};
    const index = this.#taken;
    this.#taken += 1;
    const held = this.#held;
    if (parcel.kind === 'message' && reorder.includes(index) && held === undefined) {
      this.#held = parcel;
    } else {
      this.#held = undefined;
      // What was held for its successor still comes before a goodbye.
      const late = held === undefined ? [] : [held];
      const order = parcel.kind === 'close' ? [...late, parcel] : [parcel, ...late];
      for (const next of order) this.#carry(next);
      if (parcel.kind === 'message' && duplicate.includes(index)) this.#carry(parcel);
    }
    if (this.#stopped) return;
    this.#bufferedBytes -= sizeOf(parcel);
    if (this.#bufferedBytes === 0) this.onDrained();
  }

  #carry(parcel: Parcel): void {
    const { delay } = this.#options;
    if (delay === undefined) return this.#deliver(parcel);
    const timer = delay.clock.after(delay.latencyMs, () => {
      this.#travelling.delete(timer);
      this.#deliver(parcel);
    });
    this.#travelling.add(timer);
  }

  #deliver(parcel: Parcel): void {
    if (this.#stopped) return;
    if (parcel.kind === 'close') {
      this.#receiver?.closed(parcel.end);
      parcel.onDelivered();
      return;
    }
    this.#delivered += 1;
    this.#receiver?.message(parcel.message);
    this.#cutWhenDue();
  }

  #cutWhenDue(): void {
    if (this.#options.faults?.cutAfter === this.#delivered) this.#options.onCut();
  }
}

function sizeOf(parcel: Parcel): number {
  return parcel.kind === 'close' ? 0 : parcel.message.length;
}

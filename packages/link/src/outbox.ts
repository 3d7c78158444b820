import { FrameType, LIMITS } from '@drawbridge/protocol';
import type { Frame } from '@drawbridge/protocol';
import type { SendCredit } from './credit.ts';

/** A frame, and who is told once the other end has it and all before it. */
export interface OutgoingFrame extends Frame {
  readonly onReceived?: (() => void) | undefined;
}

/** A frame to be, of a channel yet to be named. DATA may be of any length, and is cut as it leaves; with FIN it is empty. */
export type Unsent = Omit<OutgoingFrame, 'channelId'>;

interface Waiter {
  resolve(): void;
  reject(error: unknown): void;
}

/** The sending half of a channel: what waits for a turn and for credit, in order, and who waits for room. */
export class Outbox {
  readonly #channelId: number;
  readonly #credit: SendCredit;
  readonly #onStall: () => void;
  #unsent: Unsent[] = [];
  #unsentBytes = 0;
  #isStalled = false;
  #waiters = new Set<Waiter>();

  /** `onStall` is told each time that data begins to wait for credit. */
  constructor(channelId: number, credit: SendCredit, onStall: () => void = () => {}) {
    this.#onStall = onStall;
    this.#channelId = channelId;
    this.#credit = credit;
  }

  push(unsent: Unsent): void {
    this.#unsent.push(unsent);
    this.#unsentBytes += unsent.payload.byteLength;
  }

  /** The next frame that order and credit allow. */
  next(): OutgoingFrame | undefined {
    const [first] = this.#unsent;
    if (first === undefined) return undefined;
    const frame = first.type === FrameType.Data ? this.#cut(first) : this.#whole(first);
    if (frame !== undefined) this.#sent(frame.payload.byteLength);
    return frame;
  }

  /** Little enough waits for the peer. */
  get hasRoom(): boolean {
    return this.#unsentBytes <= LIMITS.channelOutboxBytesMax;
  }

  /** Resolves when little enough waits for the peer; rejects when the outbox is cleared or `signal` aborts. */
  async room(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.hasRoom) return;
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const waiter: Waiter = { resolve: () => resolve(undefined), reject };
    const onAbort = () => reject(signal?.reason);
    this.#waiters.add(waiter);
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      await promise;
    } finally {
      this.#waiters.delete(waiter);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Drops what waits, and tells those who wait for room why. */
  clear(error: Error): void {
    this.#unsent = [];
    this.#unsentBytes = 0;
    for (const waiter of this.#waiters) waiter.reject(error);
  }

  #whole(first: Unsent): OutgoingFrame {
    this.#unsent.shift();
    return { ...first, channelId: this.#channelId };
  }

  /** As much of DATA as one frame and the credit take; an empty one needs no credit. */
  #cut(first: Unsent): OutgoingFrame | undefined {
    const { payload } = first;
    if (payload.byteLength === 0) return this.#whole(first);
    const bytes = this.#credit.use(Math.min(payload.byteLength, LIMITS.framePayloadBytesMax));
    if (bytes === 0) return this.#stall();
    this.#isStalled = false;
    if (bytes === payload.byteLength) return this.#whole(first);
    this.#unsent[0] = { ...first, payload: payload.subarray(bytes) };
    const { type, flags } = first;
    return { type, flags, channelId: this.#channelId, payload: payload.subarray(0, bytes) };
  }

  #stall(): undefined {
    if (!this.#isStalled) this.#onStall();
    this.#isStalled = true;
  }

  #sent(bytes: number): void {
    this.#unsentBytes -= bytes;
    if (!this.hasRoom) return;
    for (const waiter of this.#waiters) waiter.resolve();
  }
}

import { LIMITS, ProtocolError } from '@drawbridge/protocol';
import type { Clock } from './clock.ts';

/** What all receive windows of one process may promise together (PROTOCOL.md §3.4). */
export class WindowBudget {
  readonly bytesMax: number;
  #bytesUsed = 0;

  constructor(bytesMax: number = LIMITS.windowBytesOfProcessMax) {
    this.bytesMax = bytesMax;
  }

  get bytesUsed(): number {
    return this.#bytesUsed;
  }

  /** Takes all of `bytes`, or nothing and says false. */
  take(bytes: number): boolean {
    if (this.#bytesUsed + bytes > this.bytesMax) return false;
    this.#bytesUsed += bytes;
    return true;
  }

  release(bytes: number): void {
    this.#bytesUsed -= bytes;
  }
}

/** The budget that every tunnel of this process shares unless it is given another. */
export const processWindows = new WindowBudget();

/** What a ReceiveWindow needs from its tunnel. */
export interface ReceiveWindowOptions {
  readonly clock: Clock;
  readonly budget: WindowBudget;
  /** The round trip to the sender; undefined until it was measured, and then no window grows. */
  readonly rttMs: () => number | undefined;
}

/**
 * The receiver's side of credit: `outstandingBytes` the peer may still send, what arrived and is unread, and what was read
 * but not yet returned are together never more than `sizeBytes`, and that is always covered by the budget.
 */
export class ReceiveWindow {
  readonly #options: ReceiveWindowOptions;
  #sizeBytes: number = LIMITS.windowBytesInitial;
  #outstandingBytes: number = LIMITS.windowBytesInitial;
  #takenBytes = 0;
  #grantedAtMs: number;
  #released = false;

  private constructor(options: ReceiveWindowOptions) {
    this.#options = options;
    this.#grantedAtMs = options.clock.monotonic();
  }

  /** A window of the initial size, or undefined when the process has promised all it may. */
  static open(options: ReceiveWindowOptions): ReceiveWindow | undefined {
    return options.budget.take(LIMITS.windowBytesInitial) ? new ReceiveWindow(options) : undefined;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Notes DATA that arrived. Throws ProtocolError `credit_exceeded` when the peer had no credit for it. */
  received(bytes: number): void {
    if (bytes > this.#outstandingBytes) {
      throw new ProtocolError('credit_exceeded', `${bytes} bytes with ${this.#outstandingBytes} of credit`);
    }
    this.#outstandingBytes -= bytes;
  }

  /** Notes what the consumer took. The answer is the credit to return now: 0 until half a window was taken. */
  taken(bytes: number): number {
    this.#takenBytes += bytes;
    if (this.#released || this.#takenBytes < this.#sizeBytes / 2) return 0;
    const credit = this.#takenBytes + this.#grow();
    this.#takenBytes = 0;
    this.#outstandingBytes += credit;
    this.#grantedAtMs = this.#options.clock.monotonic();
    return credit;
  }

  /** Gives the window back to the budget. Calling it twice is fine. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#options.budget.release(this.#sizeBytes);
  }

  /** Doubles when half a window was taken within one round trip: then the window, not the consumer, limits the rate. */
  #grow(): number {
    const rttMs = this.#options.rttMs();
    if (rttMs === undefined || this.#options.clock.monotonic() - this.#grantedAtMs > rttMs) return 0;
    const growth = Math.min(this.#sizeBytes, LIMITS.windowBytesMax - this.#sizeBytes);
    if (!this.#options.budget.take(growth)) return 0;
    this.#sizeBytes += growth;
    return growth;
  }
}

/** The sender's side of credit. */
export class SendCredit {
  #bytes: number;

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** A peer whose credit adds up to more than any window may be is broken: throws ProtocolError `frame_payload`. */
  add(bytes: number): void {
    if (this.#bytes + bytes > LIMITS.windowBytesMax) {
      throw new ProtocolError('frame_payload', `credit of ${this.#bytes + bytes} bytes`);
    }
    this.#bytes += bytes;
  }

  /** Uses up to `bytes` of it, and says how many. */
  use(bytes: number): number {
    const used = Math.min(bytes, this.#bytes);
    this.#bytes -= used;
    return used;
  }
}

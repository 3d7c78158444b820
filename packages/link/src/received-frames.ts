import { LIMITS } from '@drawbridge/protocol';
import type { Clock, Timer } from './clock.ts';

/** Counts the frames that arrived, and says when it is time to tell the other end (PROTOCOL.md §3.6). */
export class ReceivedFrames {
  readonly #clock: Clock;
  readonly #report: (count: number) => void;
  #total = 0;
  #unreported = 0;
  #unreportedBytes = 0;
  #timer: Timer | undefined;
  #isStopped = false;

  /** `report` is given the number of frames since the last one. */
  constructor(clock: Clock, report: (count: number) => void) {
    this.#clock = clock;
    this.#report = report;
  }

  /** A counted frame with so many bytes of payload has arrived, and had its effect. */
  note(bytes: number): void {
    // What a frame does may end its tunnel.
    if (this.#isStopped) return;
    this.#total += 1;
    this.#unreported += 1;
    this.#unreportedBytes += bytes;
    if (this.#unreported >= LIMITS.receivedFramesMax || this.#unreportedBytes >= LIMITS.receivedBytesMax) this.#tell();
    else this.#timer ??= this.#clock.after(LIMITS.receivedDelayMs, () => this.#due());
  }

  /** How many there were, for RESUME+ACK: what was not reported yet is with that. */
  takeTotal(): number {
    this.#unreported = 0;
    this.#unreportedBytes = 0;
    return this.#total;
  }

  /** The other end has lost its state, and counts from 0 again. */
  restart(): void {
    this.takeTotal();
    this.#total = 0;
  }

  /** Nothing is counted, reported or timed after this. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #due(): void {
    this.#timer = undefined;
    if (this.#unreported > 0) this.#tell();
  }

  #tell(): void {
    const count = this.#unreported;
    this.takeTotal();
    this.#report(count);
  }
}

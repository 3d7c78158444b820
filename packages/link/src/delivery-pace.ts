import type { Clock } from './clock.ts';

const KIB = 1024;

/** May be on its way whatever was measured: enough to measure by, and for a system to be busy with. */
const BYTES_MIN = 512 * KIB;
/** How long the last byte may wait in queues on its way. Two of these, one for each direction, are hardly felt in an echo. */
const QUEUE_MS = 3;
/** A rate is measured over no less than this. */
const SAMPLE_MS = 10;
/** The fastest of so many rates counts. */
const SAMPLES = 8;
/** Room to find out that the way is faster than it was (the gain of BBR's start is 2.89, of its probing 1.25). */
const GAIN = 2;

/**
 * How much a tunnel should have on its way. Everything beyond what the way itself holds waits in front of what comes later, such as
 * somebody's keystroke: in the sockets' buffers of this system, of the relay's and of the far end's, which are many megabytes
 * together. As in BBR (Cardwell et al., 2016) that is the fastest rate of late times the shortest round trip.
 */
export class DeliveryPace {
  readonly #clock: Clock;
  readonly #rates: number[] = [];
  #roundTripMs = Number.POSITIVE_INFINITY;
  #sinceMs: number;
  #bytes = 0;
  #wasHeld = false;
  #bytesMax = BYTES_MIN;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#sinceMs = clock.monotonic();
  }

  /** More than this only waits on its way. */
  get bytesMax(): number {
    return this.#bytesMax;
  }

  /** The far end has so many bytes more, the last of which were sent `tookMs` ago; `wasHeld` when more were held back for them. */
  received(bytes: number, tookMs: number, wasHeld: boolean): void {
    this.#bytes += bytes;
    this.#wasHeld ||= wasHeld;
    this.#roundTripMs = Math.min(this.#roundTripMs, tookMs);
    const nowMs = this.#clock.monotonic();
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs < SAMPLE_MS) return;
    this.#measured(this.#bytes / elapsedMs);
    this.#sinceMs = nowMs;
    this.#bytes = 0;
    this.#wasHeld = false;
  }

  /** The next leg may go another way. */
  restart(): void {
    this.#rates.length = 0;
    this.#roundTripMs = Number.POSITIVE_INFINITY;
    this.#sinceMs = this.#clock.monotonic();
    this.#bytes = 0;
    this.#wasHeld = false;
    this.#bytesMax = BYTES_MIN;
  }

  /** Less than before says something about the way only where more was to be sent. */
  #measured(bytesPerMs: number): void {
    if (!this.#wasHeld && bytesPerMs <= Math.max(0, ...this.#rates)) return;
    this.#rates.push(bytesPerMs);
    if (this.#rates.length > SAMPLES) this.#rates.shift();
    this.#bytesMax = Math.max(BYTES_MIN, Math.max(...this.#rates) * (GAIN * this.#roundTripMs + QUEUE_MS));
  }
}

import { freeMemory } from '@drawbridge/runtime/free-memory';

/**
 * What the load says to the sink, over whatever carries the connection: one byte, which the sink sends back. After `echo` the
 * sink sends back every byte that comes. After `up` and `down` comes how long it takes, in milliseconds (u32): then the load
 * sends for so long, ends, and is told how much arrived (two doubles: bytes, and bytes per second in the second half); or the
 * sink sends for so long, and ends.
 */
export const TALK = { echo: 0x65, up: 0x75, down: 0x64 } as const;

export const GO_BYTES = 4;
export const ARRIVED_BYTES = 16;

/** What one write hands over. Nobody changes it. */
export const CHUNK = Buffer.alloc(128 * 1024, 'the bytes of a long stream ');

/** How much arrived, over all and after the first half of the time. */
export class Arrivals {
  readonly #halfMs: number;
  #bytes = 0;
  #firstAtMs: number | undefined;
  #late: { readonly atMs: number; bytes: number } | undefined;
  #lastAtMs = 0;

  constructor(forMs: number) {
    this.#halfMs = forMs / 2;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** What came in the second half; 0 when nothing did. */
  get lateBytesPerSecond(): number {
    const late = this.#late;
    if (late === undefined || this.#lastAtMs <= late.atMs) return 0;
    return (late.bytes / (this.#lastAtMs - late.atMs)) * 1000;
  }

  /** Counts what has come, and frees its memory: what a load costs is to be little. */
  note(chunk: Uint8Array): void {
    const atMs = performance.now();
    const byteCount = chunk.byteLength;
    freeMemory(chunk);
    this.#bytes += byteCount;
    this.#lastAtMs = atMs;
    this.#firstAtMs ??= atMs;
    if (this.#late !== undefined) this.#late.bytes += byteCount;
    else if (atMs - this.#firstAtMs >= this.#halfMs) this.#late = { atMs, bytes: 0 };
  }
}

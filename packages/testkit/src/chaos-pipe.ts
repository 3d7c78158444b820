import type { Clock, Timer } from '@drawbridge/link';
import type { Socket } from 'node:net';
import type { ChaosFaults } from './chaos-faults.ts';

/** The most a long, fat wire holds; after that its sender waits. */
const IN_FLIGHT_BYTES_MAX = 8 * 1024 * 1024;
/** A slow wire delivers this often. */
const SLICES_PER_SECOND = 50;
/** A slow wire holds what is on its way and this much, or a slice, so that its sender feels how slow it is. */
const WAITING_BYTES_MAX = 64 * 1024;
/** Timers are late; a slow wire makes up for that much, and its rate is the one that was asked for. */
const MADE_UP_MS_MAX = 50;

/** Something under way: bytes, the end of the stream (FIN), or the news that its sender is gone (RST). */
type InFlight =
  | { readonly kind: 'bytes'; readonly dueMs: number; readonly bytes: Uint8Array }
  | { readonly kind: 'end' | 'reset'; readonly dueMs: number };

/** What one direction of a connection is made of. */
export interface ChaosPipeOptions {
  readonly source: Socket;
  readonly sink: Socket;
  readonly faults: ChaosFaults;
  readonly clock: Clock;
  /** Called when a fault says that the connection ends here. */
  readonly onCut: () => void;
  /** Hears how many bytes were passed on. */
  readonly onCarried: (byteCount: number) => void;
}

/** One direction of one connection: passes on what its source says, in order and as well as the faults allow. */
export class ChaosPipe {
  readonly #options: ChaosPipeOptions;
  readonly #queue: InFlight[] = [];
  #queuedBytes = 0;
  #stopped = false;
  #sinkFull = false;
  /** When a throttled wire is free for the next slice; in the past when that slice is late. */
  #freeAtMs = 0;
  #timer: Timer | undefined;

  constructor(options: ChaosPipeOptions) {
    this.#options = options;
    const { source, sink } = options;
    source.on('data', (bytes: Buffer) => this.#take({ kind: 'bytes', dueMs: this.#dueMs(), bytes }));
    source.on('end', () => this.#take({ kind: 'end', dueMs: this.#dueMs() }));
    source.on('close', (hadError) => {
      if (hadError) this.#take({ kind: 'reset', dueMs: this.#dueMs() });
    });
    sink.on('drain', () => {
      this.#sinkFull = false;
      this.move();
    });
  }

  /** Passes on what may go now, and comes back when more may. Called whenever anything changed. */
  move(): void {
    this.#timer?.cancel();
    while (!this.#stopped && !this.#sinkFull && !this.#options.faults.blocked) {
      const item = this.#queue[0];
      if (item === undefined) break;
      const waitMs = Math.max(item.dueMs, this.#freeAtMs) - this.#options.clock.monotonic();
      if (waitMs > 0) {
        this.#timer = this.#options.clock.after(waitMs, () => this.move());
        break;
      }
      this.#pass(item);
    }
    if (!this.#stopped) this.#listen();
  }

  /** Nothing is passed on any more; what is under way is lost. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #take(item: InFlight): void {
    if (this.#stopped) return;
    this.#queue.push(item);
    if (item.kind === 'bytes') this.#queuedBytes += item.bytes.byteLength;
    this.move();
  }

  #pass(item: InFlight): void {
    this.#queue.shift();
    if (item.kind === 'bytes') this.#carry(item.bytes, item.dueMs);
    else if (item.kind === 'end') this.#options.sink.end();
    else this.#options.sink.resetAndDestroy();
  }

  #carry(bytes: Uint8Array, dueMs: number): void {
    const { sink, faults, clock, onCarried, onCut } = this.#options;
    const sliceBytes = Math.max(1, Math.floor(faults.bytesPerSecond / SLICES_PER_SECOND));
    const slice = bytes.subarray(0, faults.bytesBeforeCut(Math.min(bytes.byteLength, sliceBytes)));
    const rest = bytes.subarray(slice.byteLength);
    if (rest.byteLength > 0) this.#queue.unshift({ kind: 'bytes', dueMs, bytes: rest });
    this.#queuedBytes -= slice.byteLength;
    const beginsMs = Math.max(dueMs, this.#freeAtMs, clock.monotonic() - MADE_UP_MS_MAX);
    this.#freeAtMs = beginsMs + (slice.byteLength / faults.bytesPerSecond) * 1000;
    const next = faults.carry(slice);
    this.#sinkFull = !sink.write(slice) && !sink.destroyed;
    onCarried(slice.byteLength);
    if (next === 'cut') onCut();
  }

  /** Reads on, or leaves the bytes with the kernel, whose full buffers stop the sender as a bad network does. */
  #listen(): void {
    const { source, faults } = this.#options;
    if (faults.blocked || this.#queuedBytes >= inFlightBytesMax(faults)) source.pause();
    else source.resume();
  }

  #dueMs(): number {
    return this.#options.clock.monotonic() + this.#options.faults.delayMs;
  }
}

function inFlightBytesMax({ bytesPerSecond, delayMs }: ChaosFaults): number {
  if (bytesPerSecond === Infinity) return IN_FLIGHT_BYTES_MAX;
  const waitingBytes = Math.max(WAITING_BYTES_MAX, bytesPerSecond / SLICES_PER_SECOND);
  return Math.min(IN_FLIGHT_BYTES_MAX, (bytesPerSecond * delayMs) / 1000 + waitingBytes);
}

import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type Opcode, headerBytesFor, writeHeader } from './frame-header.ts';
import { freshKey, keyAt, maskInto } from './mask.ts';
import { SLAB_BYTES, giveSlabBack, takeSlab } from './slab.ts';

/** Called once the network has the bytes; not when it will not take them. */
export type OnWritten = () => void;

/** A frame of at least this size is worth a slab, also when it would leave alone. */
const SLAB_FRAME_BYTES_MIN = 4_096;

/** Frames that leave in one write. */
interface Batch {
  readonly bytes: Buffer;
  readonly onWritten: OnWritten[];
  filled: number;
}

/**
 * The sending half of RFC 6455: every message is one final frame, and leaves at once. While one batch of frames is with the network,
 * the next is gathered in a slab, and leaves as the former has left: given to the network one by one they would be joined by the TLS
 * below, in memory that is allocated each time.
 */
export class FrameWriter {
  readonly #connection: Duplex;
  readonly #isMasked: boolean;
  /** A network socket has no use for bytes it has written; another stream may have handed them on. */
  readonly #givesBack: boolean;
  readonly #waiting: Batch[] = [];
  #waitingBytes = 0;
  #isWriting = false;

  /** A client masks what it sends, a server does not. */
  constructor(connection: Duplex, role: 'client' | 'server') {
    this.#connection = connection;
    this.#isMasked = role === 'client';
    this.#givesBack = connection instanceof Socket;
  }

  /** Bytes that the network has not taken yet. */
  get bufferedBytes(): number {
    return this.#waitingBytes + this.#connection.writableLength;
  }

  /** Sends a payload of two parts; neither is looked at again once this returns. */
  write(opcode: Opcode, first: Uint8Array, second: Uint8Array, onWritten: OnWritten): void {
    const length = first.byteLength + second.byteLength;
    const at = headerBytesFor(length, this.#isMasked);
    const batch = this.#room(at + length);
    const frame = batch.bytes.subarray(batch.filled, batch.filled + at + length);
    batch.filled += frame.byteLength;
    batch.onWritten.push(onWritten);
    const key = this.#isMasked ? freshKey() : undefined;
    writeHeader(frame, opcode, length, key);
    if (key === undefined) {
      frame.set(first, at);
      frame.set(second, at + first.byteLength);
    } else {
      maskInto(frame, at, first, key);
      maskInto(frame, at + first.byteLength, second, keyAt(key, first.byteLength));
    }
    this.#waitingBytes += frame.byteLength;
    if (!this.#isWriting) this.#writeNext();
  }

  /** Nothing is written after it; the connection ends behind what was. */
  end(): void {
    while (this.#waiting.length > 0) this.#writeNext();
    this.#connection.end();
  }

  #room(frameBytes: number): Batch {
    const last = this.#waiting.at(-1);
    if (last !== undefined && last.filled + frameBytes <= last.bytes.byteLength) return last;
    const isAlone = !this.#isWriting && frameBytes < SLAB_FRAME_BYTES_MIN;
    const bytes = isAlone || frameBytes > SLAB_BYTES ? Buffer.allocUnsafe(frameBytes) : takeSlab();
    const batch: Batch = { bytes, onWritten: [], filled: 0 };
    this.#waiting.push(batch);
    return batch;
  }

  #writeNext(): void {
    const batch = this.#waiting.shift();
    this.#isWriting = batch !== undefined;
    if (batch === undefined) return;
    this.#waitingBytes -= batch.filled;
    this.#connection.write(batch.bytes.subarray(0, batch.filled), (error) => {
      // A broken connection may still hold the bytes.
      if (error instanceof Error) return;
      if (this.#givesBack && batch.bytes.byteLength === SLAB_BYTES) giveSlabBack(batch.bytes);
      this.#writeNext();
      for (const told of batch.onWritten) told();
    });
  }
}

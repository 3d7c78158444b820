import { isUtf8 } from 'node:buffer';
import { isValidCode } from '../close-frame.ts';
import {
  FrameError,
  type FrameHeader,
  HEADER_BYTES_MAX,
  Opcode,
  checkStart,
  decodeHeader,
  headerBytes,
} from './frame-header.ts';
import { keyAt, maskInto } from './mask.ts';
import { takeMessage } from './message-pool.ts';

/** What comes out of the bytes of a peer. A message of bytes belongs to who hears it. */
export interface FrameSink {
  message(message: string | Buffer): void;
  ping(payload: Buffer): void;
  /** Nothing comes after it. 1005 when the peer gave no code. */
  close(code: number, reason: string): void;
}

/** An honest message comes in pieces of at least this size on average; smaller ones are an attack on memory. */
const PIECE_BYTES_MIN = 64;

export interface FrameReaderOptions {
  /** A server's peer masks every frame, a client's none (RFC 6455 §5.1). */
  readonly isMasked: boolean;
  readonly maxPayloadBytes: number;
  readonly sink: FrameSink;
}

/** The frame that is being read. */
interface Partial {
  readonly header: FrameHeader;
  readonly payload: Buffer;
  filled: number;
}

/** The receiving half of RFC 6455. Every payload is copied once, out of the chunks it comes in, and unmasked on the way. */
export class FrameReader {
  readonly #isMasked: boolean;
  readonly #maxPayloadBytes: number;
  readonly #piecesMax: number;
  readonly #sink: FrameSink;
  /** The start of a header whose rest has not come. */
  readonly #start = Buffer.alloc(HEADER_BYTES_MAX);
  #startBytes = 0;
  #partial: Partial | undefined;
  /** The message in pieces that is under way. */
  #pieces: { readonly opcode: number; readonly payloads: Buffer[]; count: number; bytes: number } | undefined;
  #isStopped = false;

  constructor({ isMasked, maxPayloadBytes, sink }: FrameReaderOptions) {
    this.#isMasked = isMasked;
    this.#maxPayloadBytes = maxPayloadBytes;
    this.#piecesMax = Math.ceil(maxPayloadBytes / PIECE_BYTES_MIN);
    this.#sink = sink;
  }

  /** Tells the sink what became complete, and keeps nothing of the chunk. Throws FrameError, and then must not be called again. */
  read(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.byteLength && !this.#isStopped) {
      at = this.#partial === undefined ? this.#readHeader(chunk, at) : this.#fill(this.#partial, chunk, at);
    }
  }

  /** Nothing more is told, not even the rest of the chunk that is being read. */
  stop(): void {
    this.#isStopped = true;
    this.#partial = undefined;
    this.#pieces = undefined;
  }

  #readHeader(chunk: Buffer, from: number): number {
    const second = this.#startBytes === 0 ? chunk[from + 1] : undefined;
    if (second !== undefined && from + headerBytes(second) <= chunk.byteLength) {
      this.#checkStart(chunk.readUInt8(from), second);
      return this.#begin(decodeHeader(chunk, from), chunk, from + headerBytes(second));
    }
    let at = from;
    while (at < chunk.byteLength) {
      this.#start[this.#startBytes] = chunk.readUInt8(at);
      this.#startBytes += 1;
      at += 1;
      if (this.#startBytes < 2) continue;
      const [first = 0, second = 0] = this.#start;
      this.#checkStart(first, second);
      if (this.#startBytes < headerBytes(second)) continue;
      this.#startBytes = 0;
      return this.#begin(decodeHeader(this.#start, 0), chunk, at);
    }
    return at;
  }

  #begin(header: FrameHeader, chunk: Buffer, at: number): number {
    if (header.opcode < Opcode.Close) this.#checkSize(header.length);
    this.#partial = { header, payload: takeMessage(header.length), filled: 0 };
    return this.#fill(this.#partial, chunk, at);
  }

  #fill(partial: Partial, chunk: Buffer, at: number): number {
    const { header, payload, filled } = partial;
    const part = chunk.subarray(at, at + payload.byteLength - filled);
    if (header.key === undefined) payload.set(part, filled);
    else maskInto(payload, filled, part, keyAt(header.key, filled));
    partial.filled += part.byteLength;
    if (partial.filled === payload.byteLength) {
      this.#partial = undefined;
      this.#whole(header, payload);
    }
    return at + part.byteLength;
  }

  /** Says what is wrong with a frame as soon as its first two bytes are here. */
  #checkStart(first: number, second: number): void {
    const opcode = checkStart(first, second, this.#isMasked);
    if (opcode >= Opcode.Close) return;
    const isContinuation = opcode === Opcode.Continuation;
    if (isContinuation === (this.#pieces !== undefined)) return;
    throw new FrameError(1002, isContinuation ? 'a piece of no message' : 'a message within a message');
  }

  #checkSize(length: number): void {
    if (length + (this.#pieces?.bytes ?? 0) <= this.#maxPayloadBytes) return;
    throw new FrameError(1009, `a message of more than ${this.#maxPayloadBytes} bytes`);
  }

  #whole({ opcode, isFinal }: FrameHeader, payload: Buffer): void {
    switch (opcode) {
      case Opcode.Close:
        return this.#close(payload);
      case Opcode.Ping:
        return this.#sink.ping(payload);
      case Opcode.Pong:
        return;
      default:
        return this.#data(opcode, isFinal, payload);
    }
  }

  #data(opcode: number, isFinal: boolean, payload: Buffer): void {
    if (isFinal && this.#pieces === undefined) return this.#deliver(opcode, payload);
    this.#pieces ??= { opcode, payloads: [], count: 0, bytes: 0 };
    const pieces = this.#pieces;
    if (pieces.count === this.#piecesMax) throw new FrameError(1008, 'a message in too many pieces');
    if (payload.byteLength > 0) pieces.payloads.push(payload);
    pieces.count += 1;
    pieces.bytes += payload.byteLength;
    if (!isFinal) return;
    this.#pieces = undefined;
    this.#deliver(pieces.opcode, Buffer.concat(pieces.payloads, pieces.bytes));
  }

  #deliver(opcode: number, payload: Buffer): void {
    if (opcode === Opcode.Binary) return this.#sink.message(payload);
    if (!isUtf8(payload)) throw new FrameError(1007, 'text that is not UTF-8');
    this.#sink.message(payload.toString());
  }

  #close(payload: Buffer): void {
    this.stop();
    if (payload.byteLength === 0) return this.#sink.close(1005, '');
    const code = payload.readUInt16BE(0);
    if (!isValidCode(code)) throw new FrameError(1002, `close code ${code}`);
    const reason = payload.subarray(2);
    if (!isUtf8(reason)) throw new FrameError(1007, 'a reason that is not UTF-8');
    this.#sink.close(code, reason.toString());
  }
}

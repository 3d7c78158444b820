import {
  type Clock,
  type MessageSocket,
  type SocketEnd,
  type SocketListener,
  type Timer,
  systemClock,
} from '@drawbridge/link';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { ABNORMAL, CLOSE_TIMEOUT_MS, NO_CODE, cutReason, sendableCode } from '../close-frame.ts';
import { FrameError, Opcode } from './frame-header.ts';
import { FrameReader } from './frame-reader.ts';
import { giveMessageBack } from './message-pool.ts';
import { readChunks } from './read-chunks.ts';
import { FrameWriter } from './frame-writer.ts';

/** What `frameSocket` is told. */
export interface FrameSocketOptions {
  /** A client masks what it sends; a server takes nothing that is not masked (RFC 6455 §5.1). */
  readonly role: 'client' | 'server';
  /** What came after the handshake, in the same read. */
  readonly head?: Buffer | undefined;
  readonly maxPayloadBytes: number;
  readonly clock?: Clock | undefined;
}

/**
 * RFC 6455 on a connection whose handshake is done, without extensions. Call it in the same tick: from then on nothing is read
 * until somebody listens. The connection belongs to the socket; a message of bytes that was delivered belongs to its receiver.
 */
export function frameSocket(connection: Duplex, options: FrameSocketOptions): MessageSocket {
  return new FrameSocket(connection, options);
}

/**
 * open -> closing (a close frame was sent, the peer's is awaited) -> leaving (no frame is read or sent any more) -> closed.
 * From everywhere to everything behind it.
 */
type State = 'open' | 'closing' | 'leaving' | 'closed';

class FrameSocket implements MessageSocket {
  readonly #connection: Duplex;
  readonly #clock: Clock;
  readonly #reader: FrameReader;
  readonly #writer: FrameWriter;
  #state: State = 'open';
  #listener: SocketListener | undefined;
  /** What the peer's close frame said. */
  #said: SocketEnd = { code: ABNORMAL, reason: '' };
  #error: Error | undefined;
  #closeTimer: Timer | undefined;
  #isDraining = false;
  /** A ping whose answer waits until the one before it has left: a peer that does not read gets no pile of them. */
  #pingWaiting: Buffer | undefined;
  #isPonging = false;

  constructor(connection: Duplex, { role, head, maxPayloadBytes, clock = systemClock }: FrameSocketOptions) {
    this.#connection = connection;
    this.#clock = clock;
    this.#writer = new FrameWriter(connection, role);
    this.#reader = new FrameReader({
      isMasked: role === 'server',
      maxPayloadBytes,
      sink: {
        message: (message) => this.#listener?.message(message),
        ping: (payload) => this.#ping(payload),
        close: (code, reason) => this.#peerCloses(code, reason),
      },
    });
    connection.on('error', (error) => this.#broken(error));
    connection.on('end', () => this.#leave());
    connection.on('close', () => this.#closed());
    if (connection.destroyed) {
      this.#closed();
      return;
    }
    connection.pause();
    if (head !== undefined && head.byteLength > 0) connection.unshift(head);
    if (!(connection instanceof Socket)) return;
    connection.setTimeout(0);
    connection.setNoDelay();
  }

  get bufferedBytes(): number {
    return this.#state === 'closed' ? 0 : this.#writer.bufferedBytes;
  }

  send(message: string | Uint8Array): void {
    if (this.#state !== 'open') return;
    this.#isDraining = true;
    if (typeof message === 'string') this.#writer.write(Opcode.Text, NOTHING, Buffer.from(message), this.#sent);
    else {
      this.#writer.write(Opcode.Binary, NOTHING, message, this.#sent);
      // One that another socket of ours has brought, and this one has passed on.
      giveMessageBack(message);
    }
  }

  sendParts(header: Uint8Array, payload: Uint8Array): void {
    if (this.#state !== 'open') return;
    this.#isDraining = true;
    this.#writer.write(Opcode.Binary, header, payload, this.#sent);
  }

  close(code: number, reason: string): void {
    if (this.#state !== 'open') return;
    this.#sendClose(sendableCode(code), cutReason(reason));
    this.#state = 'closing';
    // The peer's answer has to be read, whoever paused.
    this.#connection.resume();
    this.#dropSoon();
  }

  terminate(): void {
    this.#reader.stop();
    if (this.#state !== 'closed') this.#state = 'leaving';
    this.#connection.destroy();
  }

  pause(): void {
    if (this.#state === 'open') this.#connection.pause();
  }

  resume(): void {
    this.#connection.resume();
  }

  listen(listener: SocketListener): void {
    if (this.#listener !== undefined) throw new Error('a socket has one listener');
    this.#listener = listener;
    if (this.#state === 'closed') {
      queueMicrotask(() => this.#tell());
      return;
    }
    readChunks(this.#connection, (chunk) => this.#read(chunk));
    this.#connection.resume();
  }

  #read(chunk: Buffer): void {
    this.#listener?.alive?.();
    try {
      this.#reader.read(chunk);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.#error ??= error;
      if (this.#state === 'open') this.#sendClose(error.closeCode, '');
      this.#leave();
    }
  }

  #ping(payload: Buffer): void {
    if (this.#state !== 'open') return;
    if (this.#isPonging) {
      this.#pingWaiting = payload;
      return;
    }
    this.#isPonging = true;
    this.#writer.write(Opcode.Pong, NOTHING, payload, this.#ponged);
  }

  readonly #ponged = (): void => {
    this.#isPonging = false;
    const waiting = this.#pingWaiting;
    this.#pingWaiting = undefined;
    if (waiting !== undefined) this.#ping(waiting);
    this.#sent();
  };

  #peerCloses(code: number, reason: string): void {
    this.#said = { code, reason };
    if (this.#state === 'open') this.#sendClose(code, reason);
    this.#leave();
  }

  #sendClose(code: number, reason: string): void {
    const payload = Buffer.alloc(code === NO_CODE ? 0 : 2 + Buffer.byteLength(reason));
    if (code !== NO_CODE) {
      payload.writeUInt16BE(code);
      payload.write(reason, 2);
    }
    this.#writer.write(Opcode.Close, NOTHING, payload, NEVER);
  }

  /** Nothing more is said or heard: what was sent leaves, then the connection ends. */
  #leave(): void {
    if (this.#state === 'closed') return;
    this.#state = 'leaving';
    this.#reader.stop();
    this.#writer.end();
    // Whatever comes is dropped, so that the end behind it is seen.
    this.#connection.resume();
    this.#dropSoon();
  }

  readonly #sent = (): void => {
    // One write to the network may carry many messages: only the first callback after it speaks.
    if (!this.#isDraining || this.#state === 'closed' || this.#writer.bufferedBytes > 0) return;
    this.#isDraining = false;
    this.#listener?.drained?.();
  };

  #broken(error: Error): void {
    this.#error ??= error;
    this.#connection.destroy();
  }

  #dropSoon(): void {
    if (this.#state === 'closed') return;
    this.#closeTimer ??= this.#clock.after(CLOSE_TIMEOUT_MS, () => this.#connection.destroy());
  }

  #closed(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#closeTimer?.cancel();
    if (this.#listener !== undefined) this.#tell();
  }

  /** Called once, with a listener, when the connection is closed. What had arrived by then comes first. */
  #tell(): void {
    const rest: unknown = this.#connection.read();
    if (Buffer.isBuffer(rest)) this.#read(rest);
    this.#reader.stop();
    this.#listener?.closed({ ...this.#said, ...(this.#error !== undefined && { error: this.#error }) });
  }
}

const NOTHING = new Uint8Array();
const NEVER = (): void => undefined;

import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { systemClock } from '@drawbridge/link';
import type { Channel, Clock, Timer } from '@drawbridge/link';
import { CloseReason } from '@drawbridge/protocol';
import type { ClosePayload } from '@drawbridge/protocol';
import { giveMessageBack } from './frame-socket/message-pool.ts';
import { freeMemory } from './free-memory.ts';
import { resetSocket } from './reset-socket.ts';

/** Settings of one `splice`. */
export interface SpliceOptions {
  /** Times how long a socket may take nothing once its channel is over. */
  readonly clock?: Clock;
}

/** How a splice ended. */
export interface SpliceEnd {
  /** How the channel ended. */
  readonly end: ClosePayload;
  /** What the socket failed with, if it did. */
  readonly error: NodeJS.ErrnoException | undefined;
  /** Bytes the channel was given. */
  readonly bytesToChannel: number;
  /** Bytes the socket was given. */
  readonly bytesToSocket: number;
}

/** Writes from this size on are put together with others of the same turn of the event loop. */
const BULK_BYTES = 16 * 1024;
/** What a socket may hold unsent before the channel is read no further. */
const UNWRITTEN_BYTES_MAX = 256 * 1024;
/** The channel is over, and the socket takes nothing of what is left for this long: it is given up. The system takes in steps. */
const LINGER_MS = 120_000;

/**
 * Carries bytes both ways between a channel and a socket until both directions have ended; from here on both are the splice's.
 * A half-close is passed on after all bytes before it, a failure at once: a socket that fails closes the channel with code 8, and
 * a channel that closes with another code than 0 resets the socket. When the channel closes with 0, the socket still gets what
 * came before. Resolves when both are over and nothing is left of either; never rejects.
 */
export function splice(channel: Channel, socket: Duplex, options: SpliceOptions = {}): Promise<SpliceEnd> {
  return new Splice(channel, socket, options.clock ?? systemClock).run();
}

/** Reading ends when the socket has said so, writing when all is written; or both at once, when the socket is gone. */
class Splice {
  readonly #channel: Channel;
  readonly #socket: Duplex;
  readonly #clock: Clock;
  readonly #socketGone = Promise.withResolvers<undefined>();
  /** Nobody else has the bytes that a network socket has read, or written; those of another stream somebody may. */
  readonly #isNetwork: boolean;
  #bytesToChannel = 0;
  #bytesToSocket = 0;
  #isCorked = false;
  #isReadOut = false;
  #isWrittenOut = false;
  #isChannelOver = false;
  #isSocketGone = false;
  #error: NodeJS.ErrnoException | undefined;
  #onRoom: (() => void) | undefined;
  #linger: Timer | undefined;

  constructor(channel: Channel, socket: Duplex, clock: Clock) {
    this.#channel = channel;
    this.#socket = socket;
    this.#isNetwork = socket instanceof Socket;
    this.#clock = clock;
  }

  async run(): Promise<SpliceEnd> {
    const channel = this.#channel;
    const socket = this.#socket;
    socket.allowHalfOpen = true;
    socket.on('error', this.#failed);
    socket.on('close', this.#closed);
    socket.on('drain', this.#drained);
    socket.on('finish', this.#finished);
    socket.on('end', this.#ended);
    socket.on('data', this.#read);
    socket.resume();
    if (socket.closed) this.#closed();
    else if (socket.readableEnded) this.#ended();
    const pumped = this.#pump();
    const over = channel.ended.then((end) => this.#channelOver(end));
    await Promise.all([pumped, over, this.#socketGone.promise]);
    this.#linger?.cancel();
    socket.off('close', this.#closed);
    socket.off('drain', this.#drained);
    socket.off('finish', this.#finished);
    socket.off('end', this.#ended);
    socket.off('data', this.#read);
    socket.off('error', this.#failed);
    return {
      end: await channel.ended,
      error: this.#error,
      bytesToChannel: this.#bytesToChannel,
      bytesToSocket: this.#bytesToSocket,
    };
  }

  /** From the channel to the socket. What has arrived is taken within one turn, as far as the socket takes it. */
  async #pump(): Promise<void> {
    for (;;) {
      const item = this.#channel.take() ?? (await this.#channel.read());
      if (item === undefined) break;
      if (this.#socket.destroyed) continue;
      if (item.kind === 'data') this.#write(item.bytes);
      else if (item.kind === 'fin') this.#socket.end();
      if (this.#isFull()) await this.#room();
    }
    this.#socket.end();
  }

  #write(bytes: Uint8Array): void {
    const socket = this.#socket;
    const isBulk = bytes.byteLength >= BULK_BYTES;
    if (isBulk && !this.#isCorked) {
      this.#isCorked = true;
      socket.cork();
      setImmediate(this.#uncork);
    }
    socket.write(bytes, (error) => {
      // A connection that broke may still hold the bytes.
      if (this.#isNetwork && !(error instanceof Error)) giveMessageBack(bytes);
    });
    this.#bytesToSocket += bytes.byteLength;
    // Few bytes are somebody's keystroke: they never wait, nor does what is before them.
    if (!isBulk || this.#isFull()) this.#uncork();
  }

  readonly #uncork = (): void => {
    if (!this.#isCorked) return;
    this.#isCorked = false;
    this.#socket.uncork();
  };

  #isFull(): boolean {
    const { writableLength, writableNeedDrain, destroyed } = this.#socket;
    return writableLength > UNWRITTEN_BYTES_MAX && writableNeedDrain && !destroyed;
  }

  #room(): Promise<void> {
    return new Promise((resolve) => {
      this.#onRoom = resolve;
    });
  }

  readonly #drained = (): void => {
    const onRoom = this.#onRoom;
    this.#onRoom = undefined;
    onRoom?.();
  };

  /** From the socket to the channel, as long as there is room. */
  readonly #read = (chunk: Uint8Array): void => {
    // Nobody's any more; it is read so that closing the socket does not break what is on its way out.
    if (this.#isChannelOver) return;
    this.#bytesToChannel += chunk.byteLength;
    // Nobody else has what a network socket has read.
    const onReceived = this.#isNetwork ? () => freeMemory(chunk) : undefined;
    if (this.#push(chunk, onReceived)) return;
    this.#socket.pause();
    this.#channel.room().then(this.#hasRoom, this.#hasRoom);
  };

  /** Whether there is room for more. A channel that takes nothing more has ended, and says so itself. */
  #push(chunk: Uint8Array, onReceived: (() => void) | undefined): boolean {
    try {
      return this.#channel.push(chunk, { onReceived });
    } catch {
      return true;
    }
  }

  readonly #hasRoom = (): void => {
    this.#socket.resume();
  };

  readonly #ended = (): void => {
    this.#isReadOut = true;
    this.#channel.end();
    this.#settle();
  };

  readonly #finished = (): void => {
    this.#isWrittenOut = true;
    this.#settle();
  };

  #settle(): void {
    if (!this.#isReadOut || !this.#isWrittenOut) return;
    this.#channel.close({ code: CloseReason.Ok, reason: 'both directions have ended' });
    this.#socket.destroy();
  }

  readonly #failed = (error: NodeJS.ErrnoException): void => {
    this.#error ??= error;
  };

  readonly #closed = (): void => {
    if (this.#isSocketGone) return;
    this.#isSocketGone = true;
    const reason = this.#error === undefined ? 'closed' : (this.#error.code ?? this.#error.name);
    // All that could be read is on its way: it arrives before the peer hears that nobody takes its bytes any more.
    const code = this.#isReadOut ? CloseReason.Ok : CloseReason.UnexpectedDisconnect;
    this.#channel.close({ code, reason: `the connection at this end is over: ${reason}` });
    this.#drained();
    this.#socketGone.resolve(undefined);
  };

  #channelOver({ code }: ClosePayload): void {
    this.#isChannelOver = true;
    if (this.#isSocketGone) return;
    if (code !== CloseReason.Ok) return reset(this.#socket);
    this.#waitForProgress(this.#takenBytes());
  }

  #waitForProgress(takenBytes: number): void {
    this.#linger = this.#clock.after(LINGER_MS, () => {
      if (this.#takenBytes() !== takenBytes) return this.#waitForProgress(this.#takenBytes());
      // All is with the system, which goes on delivering it; a reset would throw it away.
      if (this.#isWrittenOut) this.#socket.destroy();
      else reset(this.#socket);
    });
  }

  #takenBytes(): number {
    return this.#bytesToSocket - this.#socket.writableLength;
  }
}

/** So that the other side sees a failure, and not an end. */
function reset(socket: Duplex): void {
  // Only TCP has a reset: a socket without an address is a unix one, or not connected any more.
  if (socket instanceof Socket && socket.remoteFamily !== undefined && !('encrypted' in socket)) resetSocket(socket);
  else socket.destroy();
}

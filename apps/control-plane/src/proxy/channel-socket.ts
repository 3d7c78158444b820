import { Duplex } from 'node:stream';
import { closeError } from '@drawbridge/link';
import type { Channel, ChannelItem } from '@drawbridge/link';
import { CloseReason } from '@drawbridge/protocol';

/**
 * A channel as the socket of an HTTP or WebSocket client, with backpressure both ways. A channel that ends with another code than 0
 * fails the socket with its ControlError; a socket that fails closes the channel at once, so that the service sees a reset and not an
 * end. From here on the channel is the socket's, and so is the memory of what is written.
 */
export class ChannelSocket extends Duplex {
  readonly #channel: Channel;
  #isReading = false;

  constructor(channel: Channel) {
    super({ allowHalfOpen: false });
    this.#channel = channel;
    channel.ended.then(
      (end) => {
        if (end.code !== CloseReason.Ok) this.destroy(closeError(channel.id, end));
      },
      () => undefined,
    );
  }

  /** Ends once all that was written is on its way: what `http` asks of a socket it does not want to keep. */
  destroySoon(): void {
    if (this.writableFinished) {
      this.destroy();
      return;
    }
    this.once('finish', () => this.destroy());
    this.end();
  }

  override _read(): void {
    if (this.#isReading) return;
    for (let item = this.#channel.take(); item !== undefined; item = this.#channel.take()) {
      if (!this.#give(item)) return;
    }
    this.#isReading = true;
    this.#channel.read().then(this.#next, this.#failed);
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, callback: (error?: Error) => void): void {
    let hasRoom: boolean;
    try {
      hasRoom = this.#channel.push(bytes);
    } catch (error) {
      callback(asError(error));
      return;
    }
    if (hasRoom) callback();
    else void this.#untilRoom(callback);
  }

  async #untilRoom(callback: (error?: Error) => void): Promise<void> {
    try {
      await this.#channel.room();
    } catch (error) {
      callback(asError(error));
      return;
    }
    callback();
  }

  /** Many small pieces, as `http` makes them of every chunk, are one frame. */
  override _writev(pieces: { chunk: Buffer }[], callback: (error?: Error) => void): void {
    this._write(Buffer.concat(pieces.map(({ chunk }) => chunk)), 'buffer' as BufferEncoding, callback);
  }

  override _final(callback: () => void): void {
    this.#channel.end();
    callback();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#channel.close(
      error === null
        ? { code: CloseReason.Ok, reason: 'not needed any more' }
        : { code: CloseReason.Cancelled, reason: error.message },
    );
    callback(error);
  }

  readonly #next = (item: ChannelItem | undefined): void => {
    this.#isReading = false;
    if (item === undefined) void this.#ended();
    else if (this.#give(item)) this._read();
  };

  /** Nothing is left to read; the failure of a channel must not look like the end of what was sent. */
  async #ended(): Promise<void> {
    const { code } = await this.#channel.ended;
    if (code === CloseReason.Ok) this.push(null);
  }

  readonly #failed = (error: unknown): void => {
    this.destroy(asError(error));
  };

  /** Whether more is wanted. */
  #give(item: ChannelItem): boolean {
    if (item.kind === 'data') return this.push(item.bytes);
    if (item.kind === 'control') return true;
    this.push(null);
    return false;
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

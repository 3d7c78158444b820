import { Duplex } from 'node:stream';
import { closeError } from '@drawbridge/link';
import type { Channel } from '@drawbridge/link';
import { CloseReason } from '@drawbridge/protocol';
import { ChannelHalves } from '../tunnel/channel-halves.ts';

/**
 * A channel as a Node stream, with backpressure both ways: `end` is the half-close, `destroy` closes the channel, and a channel that
 * ends with another code than 0 fails the stream with its ControlError. From here on the channel is the stream's.
 */
export function channelDuplex(channel: Channel): Duplex {
  return new ChannelDuplex(channel);
}

class ChannelDuplex extends Duplex {
  readonly #halves: ChannelHalves;

  constructor(channel: Channel) {
    super({ allowHalfOpen: true });
    this.#halves = new ChannelHalves(channel);
    channel.ended
      .then((end) => {
        if (end.code !== CloseReason.Ok) this.destroy(closeError(channel.id, end));
      })
      .catch(() => undefined);
  }

  override _read(): void {
    this.#halves.read().then(
      (bytes) => this.push(bytes ?? null),
      (error: Error) => this.destroy(error),
    );
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    void this.#send(bytes, callback);
  }

  override _final(callback: () => void): void {
    this.#halves.endWriting();
    callback();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#halves.abort(error ?? undefined);
    callback(error);
  }

  async #send(bytes: Buffer, done: () => void): Promise<void> {
    try {
      await this.#halves.write(bytes);
    } catch (error) {
      this.destroy(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    done();
  }
}

import { closeError } from '@drawbridge/link';
import type { Channel } from '@drawbridge/link';
import { CloseReason } from '@drawbridge/protocol';
import type { ClosePayload } from '@drawbridge/protocol';

/** The two directions of a channel, which is closed with 0 once both have ended. */
export class ChannelHalves {
  readonly #channel: Channel;
  #isReadOut = false;
  #isWrittenOut = false;

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  /** The next bytes; undefined when the other end sends no more. Rejects with ControlError when the channel failed. */
  async read(): Promise<Uint8Array | undefined> {
    for (;;) {
      const item = await this.#channel.read();
      if (item === undefined) {
        const end = await this.#channel.ended;
        if (end.code !== CloseReason.Ok) throw closeError(this.#channel.id, end);
        return undefined;
      }
      if (item.kind === 'data' && !item.stderr) return item.bytes;
      if (item.kind !== 'fin') continue;
      this.#isReadOut = true;
      this.#settle();
      return undefined;
    }
  }

  endWriting(): void {
    this.#isWrittenOut = true;
    this.#channel.end();
    this.#settle();
  }

  /** Sends a copy: the caller may use its memory again, and the channel may have to send it again. */
  write(bytes: Uint8Array): Promise<void> {
    return this.#channel.send(new Uint8Array(bytes));
  }

  /** Ends both directions at once, unless both have ended already: then what is on its way still arrives. */
  abort(reason: unknown): void {
    if (!this.#isReadOut || !this.#isWrittenOut) this.#channel.close(payloadOf(reason));
  }

  #settle(): void {
    if (this.#isReadOut && this.#isWrittenOut)
      this.#channel.close({ code: CloseReason.Ok, reason: 'both directions have ended' });
  }
}

function payloadOf(reason: unknown): ClosePayload {
  if (isClosePayload(reason)) return { code: reason.code, reason: reason.reason };
  return { code: CloseReason.Cancelled, reason: reason instanceof Error ? reason.message : 'nobody wants it any more' };
}

function isClosePayload(reason: unknown): reason is ClosePayload {
  if (typeof reason !== 'object' || reason === null || !('code' in reason) || !('reason' in reason)) return false;
  return typeof reason.code === 'number' && typeof reason.reason === 'string';
}

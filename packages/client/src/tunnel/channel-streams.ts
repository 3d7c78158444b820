import { closeError } from '@drawbridge/link';
import type { Channel } from '@drawbridge/link';
import type { ClosePayload } from '@drawbridge/protocol';
import { ChannelHalves } from './channel-halves.ts';

/** Both directions of a channel as Web Streams. */
export interface ChannelStreams {
  /**
   * What the other end sends, until it sends no more. Reading is what gives credit: who does not read is sent no more than the window.
   * It errors with ControlError when the channel ends with another code than 0. Cancelling it closes the channel.
   */
  readonly readable: ReadableStream<Uint8Array>;
  /** Closing it is the half-close: the other direction goes on. Aborting it closes the channel, with the reason if that is a ClosePayload. */
  readonly writable: WritableStream<Uint8Array>;
  /** How the channel ended. Never rejects. */
  readonly ended: Promise<ClosePayload>;
}

/** A channel as two streams, with backpressure both ways. From here on it is theirs: nobody else reads it or closes it. */
export function channelStreams(channel: Channel): ChannelStreams {
  const halves = new ChannelHalves(channel);
  const { ended } = channel;
  const readable = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const bytes = await halves.read();
        if (bytes === undefined) controller.close();
        else controller.enqueue(bytes);
      },
      cancel: (reason) => halves.abort(reason),
    },
    // Nothing is read ahead: bytes that nobody asked for wait at the other end.
    { highWaterMark: 0 },
  );
  const writable = new WritableStream<Uint8Array>(
    {
      start(controller) {
        ended.then((end) => controller.error(closeError(channel.id, end))).catch(() => undefined);
      },
      write: (bytes) => halves.write(bytes),
      close: () => halves.endWriting(),
      abort: (reason) => halves.abort(reason),
    },
    { highWaterMark: 1 },
  );
  return { readable, writable, ended };
}

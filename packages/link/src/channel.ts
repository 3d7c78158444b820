import type { ClosePayload, ControlPayload } from '@drawbridge/protocol';

/** What a reader of a channel takes, in the order it was sent. */
export type ChannelItem =
  | { readonly kind: 'data'; readonly bytes: Uint8Array; readonly stderr: boolean }
  | { readonly kind: 'control'; readonly value: ControlPayload }
  /** The peer sends no more data; CONTROL may still follow. */
  | { readonly kind: 'fin' };

/** Settings of one `send`. */
export interface SendOptions {
  /** The bytes belong to the second stream. */
  readonly stderr?: boolean;
  /** Called once the other end has all of the bytes: until then they may be sent again. Not called where that never comes to be known. */
  readonly onReceived?: (() => void) | undefined;
}

/**
 * This end of one byte stream inside a tunnel (PROTOCOL.md §3.3). DATA, CONTROL and CLOSE keep their order in both directions.
 * Whoever gets a channel reads it to the end or closes it.
 */
export interface Channel extends AsyncIterable<ChannelItem>, AsyncDisposable {
  readonly id: number;
  readonly protocol: string;
  /** What the other end said about the channel when it opened or accepted it. */
  readonly metadata: Readonly<Record<string, unknown>>;
  /** How the channel ended, whichever end did it; code 8 when the tunnel was lost. Never rejects. */
  readonly ended: Promise<ClosePayload>;

  /**
   * Sends bytes of any length; they belong to the channel from here on. Resolves when there is room for more: wait for it.
   * Rejects with ControlError when the channel has ended. An abort ends the waiting; the bytes are still sent.
   */
  send(bytes: Uint8Array, options?: SendOptions, signal?: AbortSignal): Promise<void>;
  /** Sends like `send`, and says whether there is room for more: where there is none, wait for `room`. Throws what `send` rejects with. */
  push(bytes: Uint8Array, options?: SendOptions): boolean;
  /** Resolves when there is room for more; rejects like `send`. */
  room(signal?: AbortSignal): Promise<void>;
  /** Sends a CONTROL after the data given before. Resolves and rejects like `send`. */
  control(value: ControlPayload, signal?: AbortSignal): Promise<void>;
  /** Half-close: no more data from this end. The other direction goes on. */
  end(): void;
  /** Takes the next item, and returns its credit; undefined after the last item of a channel that has ended. One reader at a time. */
  read(signal?: AbortSignal): Promise<ChannelItem | undefined>;
  /** The next item if it is here, as `read` would give it; undefined when there is none to be had now. */
  take(): ChannelItem | undefined;
  /**
   * Ends the channel, and drops what was not read. Code 0 leaves after all data sent before; any other code at once, instead of it.
   * Closing again does nothing, except that another code than 0 hurries a close that still waits.
   */
  close(payload: ClosePayload): void;
}

/** A channel that the peer asks for. Answer it once, with `accept` or `refuse`. */
export interface ChannelOffer {
  readonly id: number;
  readonly protocol: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  /** Aborts when nobody waits for the answer any more: the peer gave up, or the tunnel ended. */
  readonly signal: AbortSignal;
  /** Throws ControlError `cancelled` when nobody waits any more. */
  accept(metadata?: Record<string, unknown>): Channel;
  /** Answers CHANNEL_ERR. Does nothing when nobody waits any more. */
  refuse(code: string, message: string): void;
}

import {
  CloseReason,
  ClosePayload,
  ControlError,
  ControlPayload,
  decodeJson,
  decodeU32,
  encodeJson,
  encodeU32,
  FrameFlag,
  FrameType,
  LIMITS,
  ProtocolError,
} from '@drawbridge/protocol';
import type { Frame } from '@drawbridge/protocol';
import type { Channel, ChannelItem, SendOptions } from './channel.ts';
import { closeError } from './close-error.ts';
import { SendCredit } from './credit.ts';
import type { ReceiveWindow } from './credit.ts';
import type { Egress, FrameSource } from './egress.ts';
import { Inbox, InboxFullError } from './inbox.ts';
import { Outbox } from './outbox.ts';
import type { OutgoingFrame } from './outbox.ts';

/** What the tunnel knows of a channel that has just been agreed on. */
export interface ChannelEndOptions {
  readonly id: number;
  readonly protocol: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly window: ReceiveWindow;
  /** The credit the peer gave with CHANNEL_OPEN or CHANNEL_ACK. */
  readonly creditBytes: number;
  readonly egress: Egress;
  /** Data begins to wait for credit. */
  readonly onStall: () => void;
  /** Frames of this channel mean nothing any more. */
  readonly onEnded: () => void;
  /** Ended, and what had arrived is read or dropped: the channel holds nothing any more. */
  readonly onReleased: () => void;
}

const EMPTY = new Uint8Array();

/** Joins the two halves of a channel to its tunnel: frames in, frames out, one end. */
export class ChannelEnd implements Channel, FrameSource {
  readonly id: number;
  readonly protocol: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly ended: Promise<ClosePayload>;
  readonly #options: ChannelEndOptions;
  readonly #egress: Egress;
  readonly #credit: SendCredit;
  readonly #inbox: Inbox;
  readonly #outbox: Outbox;
  readonly #resolveEnded: (end: ClosePayload) => void;
  #finSent = false;
  /** open -> closing (our CLOSE 0 waits for the data before it) -> ended. */
  #state: { is: 'open' } | { is: 'closing'; end: ClosePayload } | { is: 'ended'; end: ClosePayload } = { is: 'open' };

  constructor(options: ChannelEndOptions) {
    const { id, egress, window } = options;
    this.id = id;
    this.protocol = options.protocol;
    this.metadata = options.metadata;
    this.#options = options;
    this.#egress = egress;
    this.#credit = new SendCredit(options.creditBytes);
    this.#outbox = new Outbox(id, this.#credit, options.onStall);
    this.#inbox = new Inbox(window, {
      credit: (bytes) =>
        egress.overtake({ type: FrameType.WindowUpdate, flags: 0, channelId: id, payload: encodeU32(bytes) }),
      drained: () => {
        window.release();
        options.onReleased();
      },
    });
    const { promise, resolve } = Promise.withResolvers<ClosePayload>();
    this.ended = promise;
    this.#resolveEnded = resolve;
  }

  async send(bytes: Uint8Array, options?: SendOptions, signal?: AbortSignal): Promise<void> {
    if (!this.push(bytes, options)) await this.room(signal);
    else signal?.throwIfAborted();
  }

  push(bytes: Uint8Array, options: SendOptions = {}): boolean {
    if (this.#finSent) throw new Error(`channel ${this.id}: send after end`);
    const flags = options.stderr === true ? FrameFlag.Stderr : 0;
    if (bytes.byteLength > 0) this.#push(FrameType.Data, flags, bytes, options.onReceived);
    return this.#outbox.hasRoom;
  }

  room(signal?: AbortSignal): Promise<void> {
    return this.#outbox.room(signal);
  }

  async control(value: ControlPayload, signal?: AbortSignal): Promise<void> {
    const payload = encodeJson(value);
    if (payload.byteLength > LIMITS.frameJsonBytesMax) {
      throw new ControlError('payload_too_large', `CONTROL of ${payload.byteLength} bytes`);
    }
    this.#push(FrameType.Control, 0, payload);
    await this.room(signal);
  }

  end(): void {
    if (this.#finSent || this.#state.is !== 'open') return;
    this.#finSent = true;
    this.#push(FrameType.Data, FrameFlag.Fin, EMPTY);
  }

  read(signal?: AbortSignal): Promise<ChannelItem | undefined> {
    return this.#inbox.read(signal);
  }

  take(): ChannelItem | undefined {
    return this.#inbox.take();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<ChannelItem, void> {
    for (let item = await this.read(); item !== undefined; item = await this.read()) yield item;
  }

  close(payload: ClosePayload): void {
    const end = { ...payload, reason: payload.reason.slice(0, LIMITS.reasonCharactersMax) };
    this.#inbox.discard();
    if (this.#state.is === 'ended') return;
    if (end.code !== CloseReason.Ok) {
      this.#egress.overtake({ type: FrameType.Close, flags: 0, channelId: this.id, payload: encodeJson(end) });
      this.lose(end);
    } else if (this.#state.is === 'open') {
      this.#state = { is: 'closing', end };
      this.#enqueue(FrameType.Close, 0, encodeJson(end));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close({ code: CloseReason.Cancelled, reason: 'dropped' });
    await this.ended;
  }

  /** The peer's frames, in their order. Throws ProtocolError for what a channel of this state may not hear. */
  receive(frame: Frame): void {
    switch (frame.type) {
      case FrameType.Data:
        return this.#filling(() => {
          const { flags } = frame;
          this.#inbox.data(frame.payload, (flags & FrameFlag.Stderr) !== 0, (flags & FrameFlag.Fin) !== 0);
        });
      case FrameType.Control:
        return this.#filling(() =>
          this.#inbox.control(decodeJson(ControlPayload, frame.payload), frame.payload.byteLength),
        );
      case FrameType.WindowUpdate:
        this.#credit.add(decodeU32(frame.payload));
        return this.#egress.ready(this);
      case FrameType.Close:
        return this.lose(decodeJson(ClosePayload, frame.payload));
      default:
        throw new ProtocolError('frame_unexpected', `type ${frame.type} on open channel ${this.id}`);
    }
  }

  /** Ends this end without a word to the peer: its CLOSE has come, ours has gone, or the tunnel is lost. */
  lose(end: ClosePayload): void {
    if (this.#state.is === 'ended') return;
    this.#state = { is: 'ended', end };
    this.#outbox.clear(closeError(this.id, end));
    this.#options.onEnded();
    this.#inbox.close();
    this.#resolveEnded(end);
  }

  /** Sends the CHANNEL_ACK that comes before everything else. */
  acknowledge(payload: Uint8Array): void {
    this.#push(FrameType.ChannelAck, 0, payload);
  }

  nextFrame(): OutgoingFrame | undefined {
    const frame = this.#outbox.next();
    if (frame?.type === FrameType.Close && this.#state.is === 'closing') this.lose(this.#state.end);
    return frame;
  }

  #push(type: Frame['type'], flags: number, payload: Uint8Array, onReceived?: () => void): void {
    if (this.#state.is !== 'open') throw closeError(this.id, this.#state.end);
    this.#enqueue(type, flags, payload, onReceived);
  }

  #enqueue(type: Frame['type'], flags: number, payload: Uint8Array, onReceived?: () => void): void {
    this.#outbox.push({ type, flags, payload, onReceived });
    this.#egress.ready(this);
  }

  /** A reader that lets too much pile up loses its channel, and no other. */
  #filling(fill: () => void): void {
    try {
      fill();
    } catch (error) {
      if (!(error instanceof InboxFullError)) throw error;
      this.close({ code: CloseReason.ResourceLimit, reason: error.message });
    }
  }
}

import {
  ChannelAckPayload,
  ChannelOpenPayload,
  CloseReason,
  ClosePayload,
  ControlError,
  decodeJson,
  encodeJson,
  ErrorPayload,
  FrameFlag,
  FrameType,
  LIMITS,
  ProtocolError,
} from '@drawbridge/protocol';
import type { Frame } from '@drawbridge/protocol';
import type { Channel, ChannelOffer } from './channel.ts';
import { ChannelEnd } from './channel-end.ts';
import { ChannelIds } from './channel-ids.ts';
import type { Clock } from './clock.ts';
import { closeError, refusalError } from './close-error.ts';
import { ReceiveWindow } from './credit.ts';
import type { WindowBudget } from './credit.ts';
import type { Egress } from './egress.ts';
import { Offer } from './offer.ts';
import { RttProbe } from './rtt-probe.ts';

/** What a new channel is to be. */
export interface ChannelRequest {
  readonly protocol: string;
  readonly metadata?: Readonly<Record<string, unknown>>;
}

/** What the channels of a tunnel are made from. */
export interface ChannelsOptions {
  readonly opens: 'odd' | 'even';
  readonly clock: Clock;
  readonly budget: WindowBudget;
  readonly egress: Egress;
  readonly accept: ((offer: ChannelOffer) => void) | undefined;
  /** A channel has data, and no credit to send it. */
  readonly onStall: () => void;
}

/** A channel that is not over: opening | offered -> open -> (gone from the table). */
type Entry =
  | {
      readonly is: 'opening';
      readonly protocol: string;
      readonly window: ReceiveWindow;
      readonly answer: PromiseWithResolvers<Channel>;
    }
  | { readonly is: 'offered'; readonly offer: Offer; readonly window: ReceiveWindow }
  | { readonly is: 'open'; readonly channel: ChannelEnd };

/** Every channel of one tunnel, from its CHANNEL_OPEN to its CLOSE: who may open which, and who hears which frame. */
export class Channels {
  readonly #options: ChannelsOptions;
  readonly #egress: Egress;
  readonly #ids: ChannelIds;
  readonly #probe: RttProbe;
  readonly #entries = new Map<number, Entry>();
  /** Ended, but with unread bytes: they take memory, so they count. */
  readonly #unread = new Set<ChannelEnd>();

  constructor(options: ChannelsOptions) {
    this.#options = options;
    this.#egress = options.egress;
    this.#ids = new ChannelIds(options.opens);
    this.#probe = new RttProbe(options.clock, (channelId, payload) =>
      this.#egress.overtake({ type: FrameType.Heartbeat, flags: 0, channelId, payload }),
    );
  }

  /** Channels that are opening, open, or have ended with bytes that nobody has read. */
  get size(): number {
    return this.#entries.size + this.#unread.size;
  }

  /** The measured round trip to the far end. */
  get rttMs(): number | undefined {
    return this.#probe.rttMs;
  }

  /** Sends CHANNEL_OPEN and waits for the answer, `LIMITS.channelOpenTimeoutMs` at most. */
  async open(request: ChannelRequest, signal?: AbortSignal): Promise<Channel> {
    signal?.throwIfAborted();
    const channelId = this.#ids.next();
    const window = this.#window();
    if (window === undefined) throw new ControlError('queue_full', `no room for another channel beside ${this.size}`);
    const { protocol, metadata = {} } = request;
    const payload = encodeJson({ protocol, metadata, window: window.sizeBytes } satisfies ChannelOpenPayload);
    if (payload.byteLength > LIMITS.frameJsonBytesMax) {
      window.release();
      throw new ControlError('payload_too_large', `CHANNEL_OPEN of ${payload.byteLength} bytes`);
    }
    const answer = Promise.withResolvers<Channel>();
    this.#entries.set(channelId, { is: 'opening', protocol, window, answer });
    this.#egress.inOrder({ type: FrameType.ChannelOpen, flags: 0, channelId, payload });
    const giveUp = (reason: unknown) => this.#giveUp(channelId, reason);
    const onAbort = () => giveUp(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    const timer = this.#options.clock.after(LIMITS.channelOpenTimeoutMs, () =>
      giveUp(new ControlError('timed_out', `channel ${channelId} (${protocol}): no answer to CHANNEL_OPEN`)),
    );
    try {
      return await answer.promise;
    } finally {
      timer.cancel();
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /**
   * Takes a frame of a channel other than 0. What breaks one channel ends that one with CLOSE 3; a ProtocolError that is
   * thrown is about the tunnel.
   */
  receive(frame: Frame): void {
    if (frame.type === FrameType.ChannelOpen) return this.#offered(frame);
    const entry = this.#entries.get(frame.channelId);
    if (entry === undefined) return this.#stray(frame);
    try {
      this.#deliver(frame, entry);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#breakOff(frame.channelId, entry, { code: CloseReason.ProtocolError, reason: error.message });
    }
  }

  /** The tunnel is gone: nothing is sent, and everybody is told. */
  loseAll(end: ClosePayload): void {
    for (const [channelId, entry] of this.#entries) this.#forget(channelId, entry, end);
  }

  /** The far end has lost its state: nothing of it is left, and it opens channels anew. */
  restart(end: ClosePayload): void {
    this.loseAll(end);
    this.#ids.restartPeer();
  }

  #deliver(frame: Frame, entry: Entry): void {
    if (frame.type === FrameType.Heartbeat) return this.#heartbeat(frame);
    if (entry.is === 'open') {
      if (frame.type === FrameType.Data) this.#probe.flowing(frame.channelId);
      return entry.channel.receive(frame);
    }
    if (frame.type === FrameType.Close) {
      return this.#forget(frame.channelId, entry, decodeJson(ClosePayload, frame.payload));
    }
    if (frame.type !== FrameType.ChannelAck || entry.is !== 'opening') {
      throw new ProtocolError(
        'frame_unexpected',
        `type ${frame.type} on channel ${frame.channelId} before its CHANNEL_ACK`,
      );
    }
    if ((frame.flags & FrameFlag.Err) !== 0) {
      const refusal = decodeJson(ErrorPayload, frame.payload);
      entry.answer.reject(refusalError(refusal));
      return this.#remove(frame.channelId, entry.window);
    }
    const { window: creditBytes, metadata = {} } = decodeJson(ChannelAckPayload, frame.payload);
    const { protocol, window } = entry;
    entry.answer.resolve(this.#opened(frame.channelId, { protocol, metadata, window, creditBytes }));
  }

  #heartbeat(frame: Frame): void {
    if (frame.payload.byteLength !== 8) throw new ProtocolError('frame_payload', 'HEARTBEAT is 8 bytes');
    if ((frame.flags & FrameFlag.Ack) !== 0) this.#probe.answered(frame.payload);
    else this.#egress.overtake({ ...frame, flags: FrameFlag.Ack });
  }

  #offered(frame: Frame): void {
    const { channelId } = frame;
    this.#ids.noteOpenedByPeer(channelId);
    const refuse = (code: string, message: string) => {
      const refusal = {
        code: code.slice(0, 64),
        message: message.slice(0, LIMITS.reasonCharactersMax),
      } satisfies ErrorPayload;
      const payload = encodeJson(refusal);
      this.#egress.inOrder({ type: FrameType.ChannelAck, flags: FrameFlag.Err, channelId, payload });
    };
    let open: ChannelOpenPayload;
    try {
      // A relay that refuses an open passes it on as a refusal; answering it in turn keeps the order of both ends.
      if ((frame.flags & FrameFlag.Err) !== 0) {
        const { code, message } = decodeJson(ErrorPayload, frame.payload);
        return refuse(code, message);
      }
      open = decodeJson(ChannelOpenPayload, frame.payload);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      return refuse('protocol_error', error.message);
    }
    const { accept } = this.#options;
    if (accept === undefined) return refuse('unsupported', 'this end accepts no channels');
    const window = this.#window();
    if (window === undefined) return refuse('queue_full', `no room for another channel beside ${this.size}`);
    const offer = new Offer(channelId, open, {
      accept: (metadata) => this.#accepted(channelId, open, window, metadata),
      refuse: (code, message) => {
        this.#remove(channelId, window);
        refuse(code, message);
      },
    });
    this.#entries.set(channelId, { is: 'offered', offer, window });
    accept(offer);
  }

  #accepted(
    channelId: number,
    open: ChannelOpenPayload,
    window: ReceiveWindow,
    metadata?: Record<string, unknown>,
  ): Channel {
    const payload = encodeJson({ window: window.sizeBytes, ...(metadata && { metadata }) } satisfies ChannelAckPayload);
    const channel = this.#opened(channelId, { ...open, window, creditBytes: open.window });
    if (payload.byteLength > LIMITS.frameJsonBytesMax) {
      channel.close({ code: CloseReason.ResourceLimit, reason: 'the answer is too long' });
      throw new ControlError('payload_too_large', `CHANNEL_ACK of ${payload.byteLength} bytes`);
    }
    channel.acknowledge(payload);
    return channel;
  }

  #opened(
    id: number,
    agreed: Pick<ConstructorParameters<typeof ChannelEnd>[0], 'protocol' | 'metadata' | 'window' | 'creditBytes'>,
  ): ChannelEnd {
    const channel: ChannelEnd = new ChannelEnd({
      ...agreed,
      id,
      egress: this.#egress,
      onStall: this.#options.onStall,
      onEnded: () => {
        this.#entries.delete(id);
        this.#unread.add(channel);
      },
      onReleased: () => this.#unread.delete(channel),
    });
    this.#entries.set(id, { is: 'open', channel });
    return channel;
  }

  /** A frame of a channel that is not in the table: closed before, or never opened. */
  #stray(frame: Frame): void {
    // Answering a CLOSE with a CLOSE would go on for ever.
    if (frame.type === FrameType.Close || this.#ids.wasOpened(frame.channelId)) return;
    this.#sendClose(frame.channelId, { code: CloseReason.ProtocolError, reason: 'this channel was never opened' });
  }

  #giveUp(channelId: number, reason: unknown): void {
    const entry = this.#entries.get(channelId);
    if (entry?.is !== 'opening') return;
    entry.answer.reject(reason);
    this.#remove(channelId, entry.window);
    // The far end never hears of what has not left: while a leg is away, opens that come and go take no room.
    if (this.#egress.takeBack(channelId)) return;
    // In order: a CLOSE that overtook its own CHANNEL_OPEN would leave the channel open at the far end.
    const payload = encodeJson({ code: CloseReason.Cancelled, reason: 'nobody waits' } satisfies ClosePayload);
    this.#egress.inOrder({ type: FrameType.Close, flags: 0, channelId, payload });
  }

  #breakOff(channelId: number, entry: Entry, end: ClosePayload): void {
    if (entry.is === 'open') return entry.channel.close(end);
    this.#sendClose(channelId, end);
    this.#forget(channelId, entry, end);
  }

  #forget(channelId: number, entry: Entry, end: ClosePayload): void {
    if (entry.is === 'open') return entry.channel.lose(end);
    if (entry.is === 'opening') entry.answer.reject(closeError(channelId, end));
    else entry.offer.withdraw(closeError(channelId, end));
    this.#remove(channelId, entry.window);
  }

  #remove(channelId: number, window: ReceiveWindow): void {
    this.#entries.delete(channelId);
    window.release();
  }

  #sendClose(channelId: number, end: ClosePayload): void {
    this.#egress.overtake({ type: FrameType.Close, flags: 0, channelId, payload: encodeJson(end) });
  }

  #window(): ReceiveWindow | undefined {
    if (this.size >= LIMITS.channelsPerTunnelMax) return undefined;
    const { clock, budget } = this.#options;
    return ReceiveWindow.open({ clock, budget, rttMs: () => this.#probe.rttMs });
  }
}

import { Leg } from '@drawbridge/link';
import type { Clock, MessageSocket, SocketEnd } from '@drawbridge/link';
import {
  ChannelOpenPayload,
  CloseReason,
  ClosePayload,
  FrameFlag,
  FrameType,
  LIMITS,
  ProtocolError,
  ResumeAckPayload,
  WsClose,
  decodeJson,
  encodeFrame,
  encodeJson,
} from '@drawbridge/protocol';
import type { ControlError, ErrorPayload, Frame, ResumePayload } from '@drawbridge/protocol';
import { endOf, isTooLong } from './relay-end.ts';
import type { RelayEnd, Side } from './relay-end.ts';

export type { Side } from './relay-end.ts';

/** What a relay needs to know, and whom it tells. */
export interface RelayOptions {
  readonly clock: Clock;
  readonly heartbeatIntervalMs: number;
  /** Raises the lease's epoch; it is stored when this resolves. */
  readonly nextEpoch: () => Promise<number>;
  /** Why this end may not open this channel; undefined when it may. */
  readonly refusal: (side: Side, open: ChannelOpenPayload) => ControlError | undefined;
  /** DATA or CONTROL was forwarded: `bytes` of payload, from that end. */
  readonly onActivity: (from: Side, bytes: number) => void;
  readonly onLegLost: (side: Side, end: SocketEnd) => void;
  /** An end has ended the tunnel, or broken the wire. The relay is closed by then. */
  readonly onEnded: (by: Side, end: ClosePayload) => void;
  /** Both ends have agreed on how to go on; not called the first time. */
  readonly onResumed: () => void;
  /** An end has sent again what it had sent before. */
  readonly onResent: (from: Side, bytes: number) => void;
  /** An end is not read until the other has taken what waits for it. */
  readonly onHeld: (side: Side) => void;
  readonly onError: (error: unknown) => void;
}

/** While a leg is away, or the next epoch is being made: what is answered then is about legs that are gone. */
const NO_EPOCH = 0;

/**
 * Joins the two legs of a tunnel: counts, authorises what opens a channel, and forwards the same bytes (PROTOCOL.md §3.5). It keeps
 * nothing: what is on its way when a leg goes, the ends send again.
 */
export class Relay {
  readonly #options: RelayOptions;
  readonly #ends = { operator: endOf('operator'), agent: endOf('agent') } as const;
  /** The one that both legs were told of. */
  #epoch = NO_EPOCH;
  #pair = '';
  /** Ids of channels that were asked for and are not over, as far as has passed here. */
  readonly #channels = new Set<number>();
  #isOver = false;

  constructor(options: RelayOptions) {
    this.#options = options;
  }

  /** Whether this end is connected. */
  has(side: Side): boolean {
    return this.#ends[side].leg !== undefined;
  }

  /** Channels that are open, or opening. */
  get channels(): number {
    return this.#channels.size;
  }

  /** What waits for this end, in bytes. */
  bufferedBytes(side: Side): number {
    return this.#ends[side].leg?.socket.bufferedBytes ?? 0;
  }

  /** Takes over a leg that was admitted; the one it had is closed as superseded. Resolves when its socket is closed. */
  async attach(side: Side, socket: MessageSocket, instance: string): Promise<void> {
    if (this.#isOver) return socket.close(WsClose.Normal, 'goodbye');
    const end = this.#ends[side];
    this.#release(end)?.socket.close(WsClose.Superseded, 'superseded');
    const leg = new Leg({
      socket,
      clock: this.#options.clock,
      heartbeatIntervalMs: this.#options.heartbeatIntervalMs,
      // An end that does not read gets no answers either.
      send: (frame) => {
        if (socket.bufferedBytes <= LIMITS.socketBufferBytesMax) socket.send(encodeFrame(frame));
      },
      listener: {
        frame: (frame, bytes) => this.#receive(end, frame, bytes),
        drained: () => this.#drained(end),
        broken: (error) => this.#broken(end, error),
        lost: (how) => {
          if (isTooLong(how)) this.#broken(end, new ProtocolError('frame_too_large', how.error.message));
          else this.#lost(end, how);
        },
      },
    });
    end.leg = leg;
    end.instance = instance;
    leg.listen();
    this.#meet().catch((error: unknown) => this.#options.onError(error));
    await leg.closed;
  }

  /** Ends the tunnel: both ends are told why. */
  close(end: ClosePayload): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const last = encodeFrame({ type: FrameType.Close, flags: 0, channelId: 0, payload: encodeJson(end) });
    for (const { leg } of this.#letGo()) {
      leg.socket.send(last);
      leg.socket.close(WsClose.Normal, 'goodbye');
    }
  }

  /** Lets both legs go without a word about the tunnel: they are to come back. */
  drop(code: WsClose, reason: string): void {
    this.#isOver = true;
    for (const { leg } of this.#letGo()) leg.socket.close(code, reason);
  }

  /** Once both legs are there, both ends are told to agree on what to send again. */
  async #meet(): Promise<void> {
    const { operator, agent } = this.#ends;
    const legs = [operator.leg, agent.leg];
    if (legs.includes(undefined)) return;
    const epoch = await this.#options.nextEpoch();
    if (this.#isOver || operator.leg !== legs[0] || agent.leg !== legs[1]) return;
    const pair = `${operator.instance} ${agent.instance}`;
    if (this.#pair === pair) this.#options.onResumed();
    else {
      this.#channels.clear();
      for (const end of [operator, agent]) end.highest = 0;
    }
    this.#pair = pair;
    this.#epoch = epoch;
    for (const end of [operator, agent]) {
      end.hasAgreed = false;
      const resume = { epoch, peer_instance: this.#other(end).instance ?? '' } satisfies ResumePayload;
      this.#tell(end, FrameType.Resume, resume);
    }
  }

  #receive(from: RelayEnd, frame: Frame, bytes: Uint8Array): void {
    if (frame.channelId === 0) return this.#ofLeg(from, frame, bytes);
    if (frame.type < FrameType.ChannelOpen || frame.type > FrameType.Control)
      throw new ProtocolError('frame_unexpected', `type ${frame.type} on channel ${frame.channelId}`);
    const to = this.#other(from);
    if (!from.hasAgreed || to.leg === undefined) return;
    if (frame.type !== FrameType.Heartbeat) this.#count(from, frame);
    if (frame.type === FrameType.ChannelOpen) return this.#open(from, frame, bytes);
    if (frame.type === FrameType.Close || frame.flags === FrameFlag.Err) this.#channels.delete(frame.channelId);
    if (frame.type === FrameType.Data || frame.type === FrameType.Control)
      this.#options.onActivity(from.side, frame.payload.byteLength);
    this.#forward(from, bytes);
  }

  /** What says something about the leg, or the tunnel. */
  #ofLeg(from: RelayEnd, frame: Frame, bytes: Uint8Array): void {
    switch (frame.type) {
      case FrameType.Heartbeat:
        return from.leg?.heartbeat(frame);
      case FrameType.Resume:
        return this.#agreed(from, frame, bytes);
      case FrameType.Received:
        if (from.hasAgreed) this.#forward(from, bytes);
        return;
      case FrameType.Close:
        return this.#ended(from, decodeJson(ClosePayload, frame.payload));
      default:
        throw new ProtocolError('frame_unexpected', `type ${frame.type} on channel 0`);
    }
  }

  #agreed(from: RelayEnd, frame: Frame, bytes: Uint8Array): void {
    if ((frame.flags & FrameFlag.Ack) === 0)
      throw new ProtocolError('frame_unexpected', "RESUME is the relay's to say");
    const { epoch, received } = decodeJson(ResumeAckPayload, frame.payload);
    // An answer to an earlier RESUME: the one to this is on its way.
    if (epoch !== this.#epoch) return;
    from.hasAgreed = true;
    this.#other(from).position = received;
    this.#forward(from, bytes);
  }

  #open(from: RelayEnd, frame: Frame, bytes: Uint8Array): void {
    const refusal = this.#whyNot(from.side, frame);
    if (refusal === undefined) {
      this.#channels.add(frame.channelId);
      return this.#forward(from, bytes);
    }
    this.#forward(from, encodeFrame({ ...frame, flags: FrameFlag.Err, payload: encodeJson(refusal) }));
  }

  #whyNot(side: Side, { channelId, payload }: Frame): ErrorPayload | undefined {
    if (this.#channels.size >= LIMITS.channelsPerTunnelMax && !this.#channels.has(channelId))
      return { code: 'queue_full', message: `this tunnel has ${this.#channels.size} channels` };
    try {
      const refusal = this.#options.refusal(side, decodeJson(ChannelOpenPayload, payload));
      return refusal && { code: refusal.code, message: refusal.message.slice(0, LIMITS.reasonCharactersMax) };
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      return { code: 'protocol_error', message: error.message };
    }
  }

  #forward(from: RelayEnd, bytes: Uint8Array): void {
    const to = this.#other(from);
    if (to.leg === undefined) return;
    to.leg.socket.send(bytes);
    if (to.leg.socket.bufferedBytes > LIMITS.socketBufferBytesMax) this.#hold(from, to);
  }

  #tell(to: RelayEnd, type: FrameType, payload: unknown): void {
    to.leg?.socket.send(encodeFrame({ type, flags: 0, channelId: 0, payload: encodeJson(payload) }));
  }

  /** `to` takes too little: `from` is not read until it has taken more, and who takes nothing at all is dropped. */
  #hold(from: RelayEnd, to: RelayEnd): void {
    from.leg?.pause();
    if (to.drainTimer !== undefined) return;
    this.#options.onHeld(from.side);
    this.#watchDrain(to);
  }

  #watchDrain(to: RelayEnd): void {
    const { leg } = to;
    if (leg === undefined) return;
    const waiting = leg.socket.bufferedBytes;
    to.drainTimer = this.#options.clock.after(LIMITS.livenessTimeoutMs, () => {
      if (leg.socket.bufferedBytes < waiting) return this.#watchDrain(to);
      leg.socket.terminate();
      this.#lost(to, { code: WsClose.TryAgainLater, reason: `took nothing for ${LIMITS.livenessTimeoutMs} ms` });
    });
  }

  #drained(end: RelayEnd): void {
    end.drainTimer?.cancel();
    end.drainTimer = undefined;
    this.#other(end).leg?.resume();
  }

  #count(from: RelayEnd, { payload }: Frame): void {
    from.position += 1;
    if (from.position <= from.highest) this.#options.onResent(from.side, payload.byteLength);
    else from.highest = from.position;
  }

  #broken(from: RelayEnd, error: ProtocolError): void {
    const end = { code: CloseReason.ProtocolError, reason: error.message.slice(0, LIMITS.reasonCharactersMax) };
    this.#tell(from, FrameType.Close, end);
    const wsCode = error.code === 'message_binary' ? WsClose.UnsupportedData : WsClose.ProtocolError;
    this.#release(from)?.socket.close(wsCode, 'protocol error');
    this.#ended(from, end);
  }

  #ended(by: RelayEnd, end: ClosePayload): void {
    this.close(end);
    this.#options.onEnded(by.side, end);
  }

  #lost(end: RelayEnd, how: SocketEnd): void {
    if (this.#release(end) === undefined) return;
    this.#options.onLegLost(end.side, how);
  }

  /** The leg of an end is gone: nothing is forwarded until both ends have agreed again. */
  #release(end: RelayEnd): Leg | undefined {
    const { leg } = end;
    if (leg === undefined) return undefined;
    end.leg = undefined;
    leg.letGo();
    this.#drained(end);
    for (const each of Object.values(this.#ends)) each.hasAgreed = false;
    this.#epoch = NO_EPOCH;
    return leg;
  }

  *#letGo(): Iterable<{ leg: Leg }> {
    for (const end of Object.values(this.#ends)) {
      const leg = this.#release(end);
      if (leg !== undefined) yield { leg };
    }
  }

  #other({ side }: RelayEnd): RelayEnd {
    return this.#ends[side === 'operator' ? 'agent' : 'operator'];
  }
}

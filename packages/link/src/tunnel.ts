import {
  CloseReason,
  ClosePayload,
  ControlError,
  decodeJson,
  decodeU32,
  encodeJson,
  encodeU32,
  FrameFlag,
  FrameType,
  LIMITS,
  ProtocolError,
  ResumeAckPayload,
  ResumePayload,
  WsClose,
} from '@drawbridge/protocol';
import type { Frame } from '@drawbridge/protocol';
import type { Channel } from './channel.ts';
import { Channels } from './channels.ts';
import type { ChannelRequest } from './channels.ts';
import type { Clock, Timer } from './clock.ts';
import { processWindows } from './credit.ts';
import { Egress, isCounted } from './egress.ts';
import { Leg } from './leg.ts';
import { Resume } from './resume.ts';
import type { MessageSocket, SocketEnd } from './socket.ts';
import type { TunnelEnd, TunnelOptions, TunnelStats } from './tunnel-options.ts';

const NO_SOCKET: SocketEnd = { code: 1006, reason: 'no connection' };

/** One end of a tunnel: many channels on one leg at a time (PROTOCOL.md §3.2-§3.6). */
export class Tunnel {
  /** Resolves when the last socket is closed; every channel has ended by then. Never rejects. */
  readonly ended: Promise<TunnelEnd>;
  readonly #options: TunnelOptions;
  readonly #clock: Clock;
  readonly #egress: Egress;
  readonly #channels: Channels;
  readonly #resume: Resume | undefined;
  readonly #resolveEnded: (end: TunnelEnd) => void;
  #leg: Leg | undefined;
  #grace: Timer | undefined;
  #idleSinceMs: number;
  #end: Omit<TunnelEnd, 'socket'> | undefined;
  /** Times that both ends have agreed on how to go on; the first is the beginning. */
  #agreements = 0;
  #resentBytes = 0;
  #creditStalls = 0;

  constructor(options: TunnelOptions) {
    const { clock } = options;
    this.#options = options;
    this.#clock = clock;
    this.#idleSinceMs = clock.monotonic();
    this.#resume =
      options.resume &&
      new Resume({ clock, report: (count) => this.#reportReceived(count), onPeerLost: () => this.#peerLost() });
    this.#egress = new Egress({
      counted: this.#resume,
      onSent: (frame, again) => this.#sent(frame, again),
      onFlood: () => this.close(CloseReason.ResourceLimit, 'too many answers wait'),
    });
    this.#channels = new Channels({
      opens: options.opens,
      clock,
      budget: options.budget ?? processWindows,
      egress: this.#egress,
      accept: options.accept,
      onStall: () => (this.#creditStalls += 1),
    });
    const { promise, resolve } = Promise.withResolvers<TunnelEnd>();
    this.ended = promise;
    this.#resolveEnded = resolve;
    if (options.socket === undefined) this.#waitForLeg();
    else this.attach(options.socket, options.heartbeatIntervalMs);
  }

  /** Channels that are opening, open, or have ended with bytes that nobody has read. */
  get channels(): number {
    return this.#channels.size;
  }

  /** When, by `clock.monotonic()`, the last DATA or CONTROL frame passed, or the tunnel began. */
  get idleSinceMs(): number {
    return this.#idleSinceMs;
  }

  /** The round trip of this leg; undefined until the first heartbeat was answered, and without a leg. */
  get rttMs(): number | undefined {
    return this.#leg?.rttMs;
  }

  /** The measured round trip to the far end; undefined until data has flowed. */
  get farRttMs(): number | undefined {
    return this.#channels.rttMs;
  }

  get stats(): TunnelStats {
    return {
      resumes: Math.max(0, this.#agreements - 1),
      resentBytes: this.#resentBytes,
      creditStalls: this.#creditStalls,
    };
  }

  /** True while both ends are connected and agree; always true of a tunnel without resume that has not ended. */
  get isFlowing(): boolean {
    return this.#leg !== undefined && this.#resume?.isFlowing !== false;
  }

  /** Goes on by way of another socket, whose ends have agreed (after CONNECT_ACK); the one before is dropped. */
  attach(socket: MessageSocket, heartbeatIntervalMs = this.#options.heartbeatIntervalMs): void {
    if (this.#end !== undefined) return socket.close(WsClose.Normal, 'goodbye');
    const old = this.#leg;
    old?.letGo();
    old?.socket.terminate();
    this.#grace?.cancel();
    this.#resume?.interrupt();
    const leg: Leg = new Leg({
      socket,
      clock: this.#clock,
      heartbeatIntervalMs,
      send: (frame) => this.#egress.overtake(frame),
      listener: {
        frame: (frame) => this.#receive(frame, leg),
        drained: () => this.#egress.flush(),
        broken: (error) => this.#fail(error),
        lost: (end) => this.#legLost(leg, end),
      },
    });
    this.#leg = leg;
    this.#egress.use(socket);
    leg.listen();
  }

  /**
   * Opens a channel. Rejects with ControlError: the peer's code when it refuses, `timed_out` without an answer,
   * `tunnel_unavailable` when the tunnel is, or gets, lost.
   */
  async open(request: ChannelRequest, signal?: AbortSignal): Promise<Channel> {
    if (this.#end !== undefined) throw new ControlError('tunnel_unavailable', `tunnel ended: ${this.#end.reason}`);
    return this.#channels.open(request, signal);
  }

  /** Ends the tunnel now: its channels with code 8, the peer's end with CLOSE on channel 0. Closing again does nothing. */
  close(code: CloseReason, reason: string): void {
    this.#closeWith({ code, reason, by: 'here' }, WsClose.Normal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close(CloseReason.Ok, 'closed');
    await this.ended;
  }

  /** Every frame that arrives passes here, in the order of the wire. */
  #receive(frame: Frame, leg: Leg): void {
    if (this.#end !== undefined) return;
    this.#noteActivity(frame);
    if (frame.channelId !== 0) {
      if (this.#resume !== undefined && isCounted(frame)) {
        if (!this.#resume.isFlowing)
          throw new ProtocolError('frame_unexpected', `type ${frame.type} before RESUME+ACK`);
        this.#channels.receive(frame);
        this.#resume.noteReceived(frame);
      } else this.#channels.receive(frame);
      return;
    }
    switch (frame.type) {
      case FrameType.Heartbeat:
        return leg.heartbeat(frame);
      case FrameType.Resume:
        return this.#resumeFrame(frame, requireResume(this.#resume, frame));
      case FrameType.Received:
        requireResume(this.#resume, frame).sent.dropReceived(decodeU32(frame.payload));
        return this.#egress.flush();
      case FrameType.Close: {
        const { code, reason } = decodeJson(ClosePayload, frame.payload);
        return this.#finish({ code, reason, by: 'peer' }, { wsCode: WsClose.Normal });
      }
      default:
        throw new ProtocolError('frame_unexpected', `type ${frame.type} on channel 0`);
    }
  }

  #resumeFrame(frame: Frame, resume: Resume): void {
    if ((frame.flags & FrameFlag.Ack) !== 0) {
      const isFirst = !resume.isFlowing;
      resume.agreed(decodeJson(ResumeAckPayload, frame.payload));
      if (isFirst && resume.isFlowing) this.#agreements += 1;
      return this.#egress.flush();
    }
    const answer = resume.resume(decodeJson(ResumePayload, frame.payload));
    // What it would say is in the answer, which is about everything.
    this.#egress.dropOfLeg(FrameType.Received);
    const payload = encodeJson(answer satisfies ResumeAckPayload);
    this.#egress.overtake({ type: FrameType.Resume, flags: FrameFlag.Ack, channelId: 0, payload });
  }

  #reportReceived(count: number): void {
    // Without a leg, or before RESUME+ACK, the next answer says it.
    if (this.#resume?.isFlowing !== true) return;
    this.#egress.overtake({ type: FrameType.Received, flags: 0, channelId: 0, payload: encodeU32(count) });
  }

  /** The other end is a process that knows nothing of our channels. */
  #peerLost(): void {
    this.#egress.clear();
    this.#channels.restart({ code: CloseReason.UnexpectedDisconnect, reason: 'the other end was restarted' });
  }

  #legLost(leg: Leg, end: SocketEnd): void {
    if (this.#leg !== leg) return;
    this.#leg = undefined;
    this.#egress.use(undefined);
    if (this.#resume === undefined) {
      const reason = end.code === 1006 && end.reason !== '' ? end.reason : describe(end);
      return this.#finish({ code: CloseReason.UnexpectedDisconnect, reason, by: 'loss' }, { closed: leg.closed });
    }
    this.#resume.interrupt();
    this.#waitForLeg();
    this.#options.resume?.onLegLost?.(end);
  }

  #waitForLeg(): void {
    const graceMs = this.#options.resume?.graceMs ?? 0;
    this.#grace = this.#clock.after(graceMs, () =>
      this.#finish({ code: CloseReason.GraceExpired, reason: `no connection for ${graceMs / 1000} s`, by: 'loss' }, {}),
    );
  }

  #fail(error: ProtocolError): void {
    const wsCode = error.code === 'message_binary' ? WsClose.UnsupportedData : WsClose.ProtocolError;
    this.#closeWith({ code: CloseReason.ProtocolError, reason: error.message, by: 'here' }, wsCode);
  }

  #closeWith(end: Omit<TunnelEnd, 'socket'>, wsCode: WsClose): void {
    const reason = end.reason.slice(0, LIMITS.reasonCharactersMax);
    const payload = encodeJson({ code: end.code, reason } satisfies ClosePayload);
    this.#finish(end, { last: { type: FrameType.Close, flags: 0, channelId: 0, payload }, wsCode });
  }

  /** The first end counts: nothing is heard, sent or timed after it. */
  #finish(
    end: Omit<TunnelEnd, 'socket'>,
    { last, wsCode, closed }: { last?: Frame; wsCode?: WsClose; closed?: Promise<SocketEnd> },
  ): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    const leg = this.#leg;
    this.#grace?.cancel();
    this.#resume?.stop();
    leg?.letGo();
    this.#egress.stop(last);
    this.#channels.loseAll({ code: CloseReason.UnexpectedDisconnect, reason: end.reason });
    // The reason is in the CLOSE frame; a WebSocket's own may hold 123 bytes only.
    if (wsCode !== undefined) leg?.socket.close(wsCode, wsCode === WsClose.Normal ? 'goodbye' : 'protocol error');
    const gone = closed ?? leg?.closed ?? Promise.resolve(NO_SOCKET);
    gone.then((socket) => this.#resolveEnded({ ...end, socket })).catch(() => undefined);
  }

  #sent(frame: Frame, again: boolean): void {
    this.#noteActivity(frame);
    if (again) this.#resentBytes += frame.payload.byteLength;
  }

  #noteActivity(frame: Frame): void {
    if (frame.type === FrameType.Data || frame.type === FrameType.Control) this.#idleSinceMs = this.#clock.monotonic();
  }
}

function requireResume(resume: Resume | undefined, { type }: Frame): Resume {
  if (resume === undefined)
    throw new ProtocolError('frame_unexpected', `type ${type} on a tunnel that does not resume`);
  return resume;
}

function describe({ code, reason }: SocketEnd): string {
  return `socket closed with ${code}${reason === '' ? '' : ` (${reason})`}`;
}

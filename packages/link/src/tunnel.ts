import {
  CloseReason,
  ClosePayload,
  ControlError,
  decodeFrame,
  decodeJson,
  encodeJson,
  FrameFlag,
  FrameType,
  LIMITS,
  ProtocolError,
  WsClose,
} from '@drawbridge/protocol';
import type { Frame } from '@drawbridge/protocol';
import type { Channel, ChannelOffer } from './channel.ts';
import { Channels } from './channels.ts';
import type { ChannelRequest } from './channels.ts';
import type { Clock } from './clock.ts';
import { processWindows } from './credit.ts';
import type { WindowBudget } from './credit.ts';
import { Egress } from './egress.ts';
import { Heartbeat } from './heartbeat.ts';
import type { MessageSocket, SocketEnd } from './socket.ts';

/** What one end of a tunnel is made from, once its legs have agreed (after CONNECT_ACK). */
export interface TunnelOptions {
  readonly socket: MessageSocket;
  /** Which channel ids this end opens: the operator's end odd ones, the agent's even ones. */
  readonly opens: 'odd' | 'even';
  readonly clock: Clock;
  /** Decides on a channel the peer opens; without it every one is refused. */
  readonly accept?: (offer: ChannelOffer) => void;
  readonly budget?: WindowBudget;
  readonly heartbeatIntervalMs?: number;
}

/** How a tunnel ended: `code` is a CloseReason, `by` says who decided. */
export interface TunnelEnd {
  readonly code: number;
  readonly reason: string;
  readonly by: 'here' | 'peer' | 'loss';
  readonly socket: SocketEnd;
}

/** One end of a tunnel: many channels on one socket (PROTOCOL.md §3.2-§3.4). */
export class Tunnel {
  /** Resolves when the socket is closed; every channel has ended by then. Never rejects. */
  readonly ended: Promise<TunnelEnd>;
  readonly #socket: MessageSocket;
  readonly #clock: Clock;
  readonly #egress: Egress;
  readonly #channels: Channels;
  readonly #heartbeat: Heartbeat;
  #beats = 0;
  #idleSinceMs: number;
  #end: Omit<TunnelEnd, 'socket'> | undefined;

  constructor(options: TunnelOptions) {
    const { socket, clock } = options;
    this.#socket = socket;
    this.#clock = clock;
    this.#idleSinceMs = clock.monotonic();
    this.#egress = new Egress({
      socket,
      onSent: (frame) => this.#noteActivity(frame),
      onFlood: () => this.close(CloseReason.ResourceLimit, 'too many answers wait'),
    });
    this.#channels = new Channels({
      opens: options.opens,
      clock,
      budget: options.budget ?? processWindows,
      egress: this.#egress,
      accept: options.accept,
    });
    this.#heartbeat = new Heartbeat({
      clock,
      intervalMs: options.heartbeatIntervalMs ?? LIMITS.heartbeatIntervalMs,
      beat: () => this.#beat(),
      onSilent: () => this.#silent(),
    });
    const { promise, resolve } = Promise.withResolvers<TunnelEnd>();
    this.ended = promise;
    socket.listen({
      message: (message) => this.#message(message),
      alive: () => this.#heartbeat.heard(),
      drained: () => this.#egress.flush(),
      closed: (end) => {
        const reason = `socket closed with ${end.code}${end.reason === '' ? '' : ` (${end.reason})`}`;
        resolve({ ...this.#finish({ code: CloseReason.UnexpectedDisconnect, reason, by: 'loss' }), socket: end });
      },
    });
  }

  /** Channels that are opening, open, or have ended with bytes that nobody has read. */
  get channels(): number {
    return this.#channels.size;
  }

  /** When, by `clock.monotonic()`, the last DATA or CONTROL frame passed, or the tunnel began. */
  get idleSinceMs(): number {
    return this.#idleSinceMs;
  }

  /** The round trip of this leg; undefined until the first heartbeat was answered. */
  get rttMs(): number | undefined {
    return this.#heartbeat.rttMs;
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

  #message(message: string | Uint8Array): void {
    if (this.#end !== undefined) return;
    this.#heartbeat.heard();
    if (typeof message === 'string')
      return this.#fail(WsClose.UnsupportedData, 'message_binary: a text message on a tunnel');
    try {
      this.#receive(decodeFrame(message));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#fail(WsClose.ProtocolError, error.message);
    }
  }

  /** Every frame that arrives passes here, in the order of the wire. */
  #receive(frame: Frame): void {
    this.#noteActivity(frame);
    if (frame.channelId !== 0) return this.#channels.receive(frame);
    switch (frame.type) {
      case FrameType.Heartbeat:
        return this.#heartbeatFrame(frame);
      case FrameType.Close: {
        const { code, reason } = decodeJson(ClosePayload, frame.payload);
        this.#finish({ code, reason, by: 'peer' });
        return this.#socket.close(WsClose.Normal, 'goodbye');
      }
      default:
        throw new ProtocolError('frame_unexpected', `type ${frame.type} on channel 0`);
    }
  }

  #heartbeatFrame(frame: Frame): void {
    if (frame.payload.byteLength !== 8) throw new ProtocolError('frame_payload', 'HEARTBEAT is 8 bytes');
    if ((frame.flags & FrameFlag.Ack) !== 0) this.#heartbeat.answered(beatId(frame.payload));
    else this.#egress.overtake({ ...frame, flags: FrameFlag.Ack });
  }

  #beat(): string {
    this.#beats += 1;
    const payload = new Uint8Array(8);
    new DataView(payload.buffer).setFloat64(0, this.#beats);
    this.#egress.overtake({ type: FrameType.Heartbeat, flags: 0, channelId: 0, payload });
    return beatId(payload);
  }

  #silent(): void {
    const reason = `no byte for ${LIMITS.livenessTimeoutMs} ms`;
    this.#finish({ code: CloseReason.UnexpectedDisconnect, reason, by: 'loss' });
    this.#socket.terminate();
  }

  #fail(wsCode: WsClose, reason: string): void {
    this.#closeWith({ code: CloseReason.ProtocolError, reason, by: 'here' }, wsCode);
  }

  #closeWith(end: Omit<TunnelEnd, 'socket'>, wsCode: WsClose): void {
    if (this.#end !== undefined) return;
    const reason = end.reason.slice(0, LIMITS.reasonCharactersMax);
    const payload = encodeJson({ code: end.code, reason } satisfies ClosePayload);
    this.#finish(end, { type: FrameType.Close, flags: 0, channelId: 0, payload });
    // The reason is in the CLOSE frame; a WebSocket's own may hold 123 bytes only.
    this.#socket.close(wsCode, wsCode === WsClose.Normal ? 'goodbye' : 'protocol error');
  }

  /** The first end counts: nothing is heard, sent or timed after it. */
  #finish(end: Omit<TunnelEnd, 'socket'>, last?: Frame): Omit<TunnelEnd, 'socket'> {
    if (this.#end !== undefined) return this.#end;
    this.#end = end;
    this.#heartbeat.stop();
    this.#egress.stop(last);
    this.#channels.loseAll({ code: CloseReason.UnexpectedDisconnect, reason: end.reason });
    return end;
  }

  #noteActivity(frame: Frame): void {
    if (frame.type === FrameType.Data || frame.type === FrameType.Control) this.#idleSinceMs = this.#clock.monotonic();
  }
}

function beatId(payload: Uint8Array): string {
  return payload.join('.');
}

import { FrameFlag, FrameType, LIMITS, ProtocolError, decodeFrame } from '@drawbridge/protocol';
import type { Frame } from '@drawbridge/protocol';
import type { Clock } from './clock.ts';
import { Heartbeat } from './heartbeat.ts';
import type { MessageSocket, SocketEnd } from './socket.ts';

/** Who hears what a leg brings. Nothing comes after `lost` or `broken`. */
export interface LegListener {
  /** `bytes` are the whole message the frame came in. */
  frame(frame: Frame, bytes: Uint8Array): void;
  drained(): void;
  /** The peer broke the wire. The listener closes the leg. */
  broken(error: ProtocolError): void;
  /** The connection is gone, or silent for too long. */
  lost(end: SocketEnd): void;
}

export interface LegOptions {
  readonly socket: MessageSocket;
  readonly clock: Clock;
  readonly heartbeatIntervalMs: number | undefined;
  /** Sends a frame before everything that waits. */
  readonly send: (frame: Frame) => void;
  readonly listener: LegListener;
}

/** One connection of a tunnel's end: decodes what comes, and keeps the connection alive, until it is let go. */
export class Leg {
  readonly socket: MessageSocket;
  /** How the socket ended; the last thing to come. Never rejects. */
  readonly closed: Promise<SocketEnd>;
  readonly #options: LegOptions;
  readonly #resolveClosed: (end: SocketEnd) => void;
  #heartbeat: Heartbeat | undefined;
  #beats = 0;
  #isPaused = false;
  #isOver = false;

  constructor(options: LegOptions) {
    this.#options = options;
    this.socket = options.socket;
    const { promise, resolve } = Promise.withResolvers<SocketEnd>();
    this.closed = promise;
    this.#resolveClosed = resolve;
  }

  /** The round trip of this leg; undefined until the first heartbeat was answered. */
  get rttMs(): number | undefined {
    return this.#heartbeat?.rttMs;
  }

  /** Sends the first heartbeat, and starts to hear what the socket brings. */
  listen(): void {
    const { socket, clock, heartbeatIntervalMs, listener } = this.#options;
    this.#heartbeat = new Heartbeat({
      clock,
      intervalMs: heartbeatIntervalMs ?? LIMITS.heartbeatIntervalMs,
      beat: () => this.#beat(),
      isDeaf: () => this.#isPaused,
      onSilent: () => this.#silent(),
    });
    socket.listen({
      message: (message) => this.#message(message),
      alive: () => this.#heartbeat?.heard(),
      drained: () => {
        if (!this.#isOver) listener.drained();
      },
      closed: (end) => {
        this.#resolveClosed(end);
        this.#lose(end);
      },
    });
  }

  /** Nothing is heard of this leg any more. The socket is left to the caller. */
  letGo(): void {
    this.#isOver = true;
    this.#heartbeat?.stop();
  }

  /** Stops, and goes on with, reading; silence counts for nothing meanwhile. */
  pause(): void {
    this.#isPaused = true;
    this.socket.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#heartbeat?.heard();
    this.socket.resume();
  }

  /** Takes a HEARTBEAT of channel 0. Throws ProtocolError for one of another length. */
  heartbeat(frame: Frame): void {
    if (frame.payload.byteLength !== 8) throw new ProtocolError('frame_payload', 'HEARTBEAT is 8 bytes');
    if ((frame.flags & FrameFlag.Ack) !== 0) this.#heartbeat?.answered(beatId(frame.payload));
    else this.#options.send({ ...frame, flags: FrameFlag.Ack });
  }

  #message(message: string | Uint8Array): void {
    if (this.#isOver) return;
    this.#heartbeat?.heard();
    try {
      if (typeof message === 'string') throw new ProtocolError('message_binary', 'a text message on a tunnel');
      this.#options.listener.frame(decodeFrame(message), message);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#options.listener.broken(error);
    }
  }

  #beat(): string {
    this.#beats += 1;
    const payload = new Uint8Array(8);
    new DataView(payload.buffer).setFloat64(0, this.#beats);
    this.#options.send({ type: FrameType.Heartbeat, flags: 0, channelId: 0, payload });
    return beatId(payload);
  }

  #silent(): void {
    this.socket.terminate();
    this.#lose({ code: 1006, reason: `no byte for ${LIMITS.livenessTimeoutMs} ms` });
  }

  #lose(end: SocketEnd): void {
    if (this.#isOver) return;
    this.letGo();
    this.#options.listener.lost(end);
  }
}

function beatId(payload: Uint8Array): string {
  return payload.join('.');
}

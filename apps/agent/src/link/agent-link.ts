import { randomUUID } from 'node:crypto';
import { Heartbeat, endOfSocket } from '@drawbridge/link';
import type { Clock, Link, LinkEnd, MessageSocket } from '@drawbridge/link';
import {
  ControlError,
  ProtocolError,
  ServerMessage,
  WsClose,
  decodeMessage,
  encodeMessage,
} from '@drawbridge/protocol';
import type { HeartbeatPayload } from '@drawbridge/protocol';
import type { DialledLink } from './dial-link.ts';

/** Who hears what the control plane says on a live link. */
export interface LinkListener {
  message(message: ServerMessage, link: AgentLink): void;
}

export interface AgentLinkOptions {
  readonly dialled: DialledLink;
  readonly clock: Clock;
  readonly intervalMs: number;
  readonly listener: LinkListener;
  /** The newest sample; asked at every beat. */
  readonly health: () => HeartbeatPayload;
}

/** One live control link: beats at once and at every interval, and ends when its socket does or the server is silent. */
export class AgentLink implements Link {
  readonly ended: Promise<LinkEnd>;
  readonly #socket: MessageSocket;
  readonly #clock: Clock;
  readonly #options: AgentLinkOptions;
  readonly #heartbeat: Heartbeat;
  #heardAtMs: number;
  #quietMs = 0;
  #goodbye: Extract<LinkEnd, { kind: 'retry_after' | 'draining' }> | undefined;
  #isOver = false;

  constructor(options: AgentLinkOptions) {
    this.#options = options;
    this.#socket = options.dialled.socket;
    this.#clock = options.clock;
    this.#heardAtMs = options.clock.monotonic();
    const { promise, resolve } = Promise.withResolvers<LinkEnd>();
    this.ended = promise;
    this.#heartbeat = new Heartbeat({
      clock: options.clock,
      intervalMs: options.intervalMs,
      beat: () => this.#beat(),
      onSilent: () => {
        this.#end(resolve, { kind: 'transient', reason: 'the control plane is silent' });
        this.#socket.terminate();
      },
    });
    this.#socket.listen({
      message: (message) => this.#receive(message),
      alive: () => this.#heard(),
      closed: (end) => this.#end(resolve, this.#goodbye ?? endOfSocket(end, false)),
    });
  }

  /** How long nothing had been heard when the link ended. */
  get quietMs(): number {
    return this.#quietMs;
  }

  get intervalMs(): number {
    return this.#heartbeat.intervalMs;
  }

  setInterval(intervalMs: number): void {
    this.#heartbeat.setInterval(intervalMs);
  }

  /** False when the link is over: then nothing was sent. Throws ControlError `payload_too_large` past 256 KiB. */
  send(type: string, payload: unknown, id: string = randomUUID()): boolean {
    if (this.#isOver) return false;
    this.#socket.send(encodeMessage({ id, type, timestamp: new Date(this.#clock.now()).toISOString(), payload }));
    return true;
  }

  /** Says goodbye and closes with 1000. */
  close(reason: string): void {
    this.send('disconnect', { reason });
    this.#heartbeat.stop();
    this.#socket.close(WsClose.Normal, reason);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#heartbeat.stop();
    if (!this.#isOver) this.close('Shutdown');
    await this.ended;
  }

  #receive(text: string | Uint8Array): void {
    this.#heard();
    try {
      if (typeof text !== 'string') throw new ProtocolError('message_binary', 'binary where text is expected');
      const decoded = decodeMessage(ServerMessage, text);
      if (!decoded.ok) {
        this.send('error', {
          code: 'invalid_message',
          message: decoded.reason,
          ...(decoded.ref === undefined ? {} : { ref: decoded.ref }),
        });
        return;
      }
      this.#dispatch(decoded.message);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#socket.close(error.code === 'message_json' ? WsClose.InvalidPayload : WsClose.UnsupportedData, error.code);
    }
  }

  #dispatch(message: ServerMessage): void {
    if (message.type === 'heartbeat') return this.#heartbeat.answered(message.id);
    if (message.type === 'disconnect') {
      const { reason, reconnect_after_ms: retryAfterMs } = message.payload;
      this.#goodbye =
        retryAfterMs === undefined ? { kind: 'draining', reason } : { kind: 'retry_after', reason, retryAfterMs };
    }
    this.#options.listener.message(message, this);
  }

  #beat(): string {
    const id = randomUUID();
    const rttMs = this.#heartbeat?.rttMs;
    this.send('heartbeat', { ...this.#options.health(), ...(rttMs === undefined ? {} : { rtt_ms: rttMs }) }, id);
    return id;
  }

  #heard(): void {
    this.#heardAtMs = this.#clock.monotonic();
    this.#heartbeat.heard();
  }

  #end(resolve: (end: LinkEnd) => void, end: LinkEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#quietMs = this.#clock.monotonic() - this.#heardAtMs;
    this.#heartbeat.stop();
    resolve(end);
  }
}

/** What a failed operation says to the other side: the code of an expected failure, `internal` for a bug. */
export function errorPayload(error: unknown): { code: string; message: string } {
  if (error instanceof ControlError) return { code: error.code, message: error.message.slice(0, 2000) };
  return { code: 'internal', message: 'internal error' };
}

import { Tunnel, WindowBudget } from '@drawbridge/link';
import type { ChannelOffer, MessageSocket } from '@drawbridge/link';
import {
  ClosePayload,
  ConnectPayload,
  ControlError,
  decodeFrame,
  decodeJson,
  encodeFrame,
  encodeJson,
  FrameFlag,
  FrameType,
} from '@drawbridge/protocol';
import type { Frame } from '@drawbridge/protocol';
import { FakeClock } from './fake-clock.ts';
import { socketPair } from './socket-pair.ts';
import type { SocketPair } from './socket-pair.ts';

const TUNNEL_ID = '33333333-3333-4333-8333-333333333333';
const AGENT_ID = '44444444-4444-4444-8444-444444444444';
const AGENT_INSTANCE = '55555555-5555-4555-8555-555555555555';
const TIME = '2026-01-07T10:00:00.000Z';
const HEARTBEAT_SECONDS = 20;

/** What goes wrong with the next requests, one each; a promise is what they wait for. */
export interface Failures {
  readonly request: unknown[];
  readonly token: unknown[];
  readonly dial: unknown[];
  /** A code that CONNECT is refused with. */
  readonly connect: string[];
}

/** A control plane with one lease, and the agent's end behind it, as an operator's end sees them: without a network, on a fake clock. */
export class ScriptedRelay {
  readonly clock = new FakeClock();
  readonly failures: Failures = { request: [], token: [], dial: [], connect: [] };
  /** What it was asked, in order: `request`, `token`, `dial <url>`, `close`. */
  readonly asked: string[] = [];
  readonly connects: ConnectPayload[] = [];
  /** The CLOSE that ended the tunnel, from the operator's end. */
  closed: ClosePayload | undefined;
  /** How the lease ended, once it did. */
  over: ClosePayload | undefined;
  readonly graceSeconds = 60;
  readonly agent: Tunnel;
  readonly #toAgent: MessageSocket;
  #operator: SocketPair | undefined;
  #epoch = 0;

  /** The agent's end accepts every channel unless `accept` says otherwise. */
  constructor(accept: (offer: ChannelOffer) => void = (offer) => void offer.accept()) {
    const pair = socketPair({ clock: this.clock });
    this.#toAgent = pair.a;
    this.agent = new Tunnel({
      socket: pair.b,
      resume: { graceMs: this.graceSeconds * 1000 },
      opens: 'even',
      clock: this.clock,
      budget: new WindowBudget(),
      accept,
    });
    pair.a.listen({
      message: (message) => this.#pass(message, pair.a, this.#operator?.a),
      closed: () => undefined,
    });
  }

  readonly api = {
    requestTunnel: (_request: unknown, signal?: AbortSignal) =>
      this.#answer('request', this.failures.request, { ...LEASE, grace_seconds: this.graceSeconds }, signal),
    tunnelToken: (_id: string, signal?: AbortSignal) => this.#answer('token', this.failures.token, LEASE, signal),
    closeTunnel: (_id: string, signal?: AbortSignal) => this.#answer('close', [], undefined, signal),
    tunnel: async (_id: string) => ({ close_code: this.over?.code ?? null, close_reason: this.over?.reason ?? null }),
  };

  readonly dial = async (url: string, _subprotocol: string, signal: AbortSignal): Promise<MessageSocket> => {
    await this.#answer(`dial ${url}`, this.failures.dial, undefined, signal);
    const pair = socketPair({ clock: this.clock });
    let isFirst = true;
    pair.a.listen({
      message: (message) => {
        if (isFirst) this.#connect(message, pair);
        else if (this.#operator === pair) this.#pass(message, pair.a, this.#toAgent);
        isFirst = false;
      },
      closed: () => {
        if (this.#operator === pair) this.#operator = undefined;
      },
    });
    return pair.b;
  };

  /** The operator's connection is lost. */
  cut(): void {
    this.#operator?.cut();
  }

  /** The operator's connection is closed with a code of the control plane's. */
  close(code: number, reason: string): void {
    this.#operator?.a.close(code, reason);
  }

  /** The tunnel is ended from outside. */
  end(end: ClosePayload): void {
    const payload = encodeJson(end);
    this.#operator?.a.send(encodeFrame({ type: FrameType.Close, flags: 0, channelId: 0, payload }));
    this.#operator?.a.close(1000, 'goodbye');
  }

  async #answer<T>(what: string, failures: unknown[], answer: T, signal?: AbortSignal): Promise<T> {
    this.asked.push(what);
    const failure: unknown = failures.shift();
    if (failure instanceof Promise) {
      const aborted = new Promise<never>((_resolve, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
      await Promise.race([failure, aborted]);
    } else if (failure !== undefined) throw failure;
    return answer;
  }

  #connect(message: string | Uint8Array, pair: SocketPair): void {
    const { payload } = frameOf(message);
    this.connects.push(decodeJson(ConnectPayload, payload));
    const code = this.failures.connect.shift();
    if (code !== undefined) {
      const refusal = encodeJson({ code, message: 'no' });
      const frame = { type: FrameType.ConnectAck, flags: FrameFlag.Err, channelId: 0, payload: refusal };
      return pair.a.send(encodeFrame(frame));
    }
    const ack = { heartbeat_seconds: HEARTBEAT_SECONDS, idle_seconds: 3600, grace_seconds: this.graceSeconds };
    pair.a.send(encodeFrame({ type: FrameType.ConnectAck, flags: 0, channelId: 0, payload: encodeJson(ack) }));
    this.#operator = pair;
    this.#epoch += 1;
    this.#resume(pair.a, AGENT_INSTANCE);
    this.#resume(this.#toAgent, this.connects.at(-1)?.instance ?? '');
  }

  #resume(to: MessageSocket, instance: string): void {
    const payload = encodeJson({ epoch: this.#epoch, peer_instance: instance });
    to.send(encodeFrame({ type: FrameType.Resume, flags: 0, channelId: 0, payload }));
  }

  #pass(message: string | Uint8Array, from: MessageSocket, to: MessageSocket | undefined): void {
    const frame = frameOf(message);
    if (frame.channelId === 0 && frame.type === FrameType.Heartbeat) {
      if ((frame.flags & FrameFlag.Ack) === 0) from.send(encodeFrame({ ...frame, flags: FrameFlag.Ack }));
      return;
    }
    if (frame.channelId === 0 && frame.type === FrameType.Close) this.closed = decodeJson(ClosePayload, frame.payload);
    to?.send(message);
  }
}

const LEASE = {
  tunnel_id: TUNNEL_ID,
  agent_id: AGENT_ID,
  port: 7400,
  token: 'secret',
  token_expires_at: TIME,
  protocol: 'tcp',
  domain: 'tcp',
  idle_seconds: 3600,
  grace_seconds: 60,
  expires_at: TIME,
  operator_url: `wss://public.test/ws/tunnel/${TUNNEL_ID}`,
  state: 'pending' as const,
};

function frameOf(message: string | Uint8Array): Frame {
  if (typeof message === 'string') throw new ControlError('protocol_error', 'text on a tunnel');
  return decodeFrame(message);
}

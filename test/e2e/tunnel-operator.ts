import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Server } from 'node:net';
import { randomUUID } from 'node:crypto';
import type { Channel } from '@drawbridge/link';
import {
  decodeFrame,
  decodeJson,
  encodeFrame,
  encodeJson,
  ErrorPayload,
  FrameFlag,
  FrameType,
  PROTOCOL_VERSION,
  TUNNEL_SUBPROTOCOL,
} from '@drawbridge/protocol';
import type { Frame } from '@drawbridge/protocol';
import { AuditRecord, IssuedTunnel, IssuedTunnelToken, TunnelView } from '@drawbridge/protocol/api';
import type { TunnelRequest } from '@drawbridge/protocol/api';
import { eventually, listeningPort } from '@drawbridge/testkit';
import type { TestControlPlane } from '@drawbridge/testkit';
import { z } from 'zod';
import { RawSocket } from './garbage-socket.ts';

const Records = z.object({ items: z.array(AuditRecord) });

/** A server on the machine that says back what it hears. */
export class EchoServer implements AsyncDisposable {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<EchoServer> {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => undefined);
      socket.pipe(socket);
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return new EchoServer(server);
  }

  get port(): number {
    return listeningPort(this.#server);
  }

  [Symbol.asyncDispose](): Promise<void> {
    // Who is still connected hangs up with the agent.
    this.#server.close();
    return Promise.resolve();
  }
}

/** A channel to an echo: what was said has to come back. */
export class Echo {
  readonly #channel: Channel;
  #said = '';
  #heard = '';

  constructor(channel: Channel) {
    this.#channel = channel;
    this.#read().catch(() => undefined);
  }

  /** Resolves once all that was said so far has come back. */
  async says(text: string, timeoutMs = 20_000): Promise<void> {
    this.#said += text;
    await this.#channel.send(Buffer.from(text));
    await eventually(() => this.#heard === this.#said, { what: `the echo of ${text}`, timeoutMs });
  }

  async #read(): Promise<void> {
    for await (const item of this.#channel) if (item.kind === 'data') this.#heard += Buffer.from(item.bytes).toString();
  }
}

/** Asks for a lease; nobody is at its operator's end. */
export async function lease(plane: TestControlPlane, request: TunnelRequest): Promise<IssuedTunnel> {
  return IssuedTunnel.parse((await plane.api('POST', '/api/tunnel/request', request)).body);
}

export async function freshToken(plane: TestControlPlane, tunnelId: string): Promise<string> {
  return IssuedTunnelToken.parse((await plane.api('POST', `/api/v1/tunnels/${tunnelId}/token`)).body).token;
}

export async function viewOf(plane: TestControlPlane, tunnelId: string): Promise<TunnelView> {
  return TunnelView.parse((await plane.api('GET', `/api/v1/tunnels/${tunnelId}`)).body);
}

/** Resolves to the tunnel once its agent's end is connected. */
export function withAgent(plane: TestControlPlane, tunnelId: string): Promise<TunnelView> {
  return eventually(() => viewOf(plane, tunnelId), {
    what: `the agent's end of ${tunnelId}`,
    timeoutMs: 20_000,
    until: ({ legs }) => legs.agent,
  });
}

/** What the audit log says of an agent's tunnels, oldest first. */
export async function tunnelRecords(plane: TestControlPlane, agentId: string): Promise<AuditRecord[]> {
  const { body } = await plane.api('GET', `/api/v1/audit?agent=${agentId}&limit=100`);
  return Records.parse(body)
    .items.filter(({ verb }) => verb.startsWith('tunnel.'))
    .toReversed();
}

/** An operator's end whose every byte is the test's. */
export class RawOperator implements Disposable {
  readonly socket: RawSocket;
  readonly #lease: IssuedTunnel;

  private constructor(socket: RawSocket, lease: IssuedTunnel) {
    this.socket = socket;
    this.#lease = lease;
  }

  /** A WebSocket before CONNECT. Fails with what the control plane answered instead, as `HTTP <status>`. */
  static async dial(
    plane: TestControlPlane,
    lease: IssuedTunnel,
    headers: Record<string, string> = { authorization: `Bearer ${plane.token}` },
  ): Promise<RawOperator> {
    return new RawOperator(
      await RawSocket.dial(operatorUrl(plane, lease.tunnel_id), TUNNEL_SUBPROTOCOL, headers),
      lease,
    );
  }

  /** One that has been let in, with the agent's end there and no channel yet. */
  static async open(plane: TestControlPlane, lease: IssuedTunnel): Promise<RawOperator> {
    const operator = await RawOperator.dial(plane, lease);
    await operator.connect(lease.token);
    const { payload } = await operator.hears(FrameType.Resume);
    const { epoch } = z.object({ epoch: z.number() }).parse(JSON.parse(Buffer.from(payload).toString()));
    await operator.say({
      type: FrameType.Resume,
      flags: FrameFlag.Ack,
      channelId: 0,
      payload: encodeJson({ epoch, received: 0 }),
    });
    await operator.hears(FrameType.Resume, 0, FrameFlag.Ack);
    return operator;
  }

  get frames(): Frame[] {
    return this.socket.heard.filter((item) => Buffer.isBuffer(item)).map((bytes) => decodeFrame(bytes));
  }

  connect(token: string, more: Record<string, unknown> = {}): Promise<void> {
    const { agent_id, tunnel_id, protocol } = this.#lease;
    const connect = {
      agent_id,
      tunnel_id,
      token,
      protocol,
      version: PROTOCOL_VERSION,
      instance: randomUUID(),
      ...more,
    };
    return this.say({ type: FrameType.Connect, flags: 0, channelId: 0, payload: encodeJson(connect) });
  }

  say(frame: Frame): Promise<void> {
    return this.socket.send(encodeFrame(frame));
  }

  /** Opens a TCP channel to a port of the machine. */
  async openChannel(channelId: number, port: number, window: number): Promise<void> {
    const payload = encodeJson({ protocol: 'tcp', metadata: { port }, window });
    await this.say({ type: FrameType.ChannelOpen, flags: 0, channelId, payload });
    await this.hears(FrameType.ChannelAck, channelId);
  }

  /** The first frame of that kind, now or soon. */
  hears(type: FrameType, channelId = 0, flags = 0): Promise<Frame> {
    const isIt = (frame: Frame) => frame.type === type && frame.channelId === channelId && frame.flags === flags;
    return eventually(() => this.frames.find(isIt), {
      what: `frame ${type} on channel ${channelId}`,
      timeoutMs: 20_000,
    });
  }

  /** How CONNECT was refused: the code of CONNECT_ERR, and how the WebSocket was closed. */
  async refusal(): Promise<{ readonly said: string; readonly code: number; readonly reason: string }> {
    const { payload } = await this.hears(FrameType.ConnectAck, 0, FrameFlag.Err);
    return { said: decodeJson(ErrorPayload, payload).code, ...(await this.socket.closed) };
  }

  [Symbol.dispose](): void {
    this.socket[Symbol.dispose]();
  }
}

function operatorUrl(plane: TestControlPlane, tunnelId: string): string {
  return `${plane.url.replace(/^http/, 'ws')}/ws/tunnel/${tunnelId}`;
}

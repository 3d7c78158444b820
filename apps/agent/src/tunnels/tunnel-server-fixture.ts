import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { SignJWT } from 'jose';
import type { Clock, MessageSocket, SocketEnd } from '@drawbridge/link';
import {
  ConnectPayload,
  FrameFlag,
  FrameType,
  LIMITS,
  TUNNEL_SUBPROTOCOL,
  decodeFrame,
  decodeJson,
  encodeFrame,
  encodeJson,
} from '@drawbridge/protocol';
import type { Frame } from '@drawbridge/protocol';
import { acceptFrameSocket } from '@drawbridge/runtime';
import { eventually, listeningPort } from '@drawbridge/testkit';
import { DeviceKey } from '../identity/identity.ts';

/** What the control plane answers to CONNECT. */
export const CONNECT_ACK = { heartbeat_seconds: 20, idle_seconds: 3600, grace_seconds: 60 };

/** For tests: an agent's leg, as the control plane sees it. */
export class ServedLeg {
  readonly path: string;
  readonly heard: Frame[] = [];
  /** How it ended; undefined while it is there. */
  end: SocketEnd | undefined;
  readonly #socket: MessageSocket;

  constructor(path: string, socket: MessageSocket) {
    this.path = path;
    this.#socket = socket;
    socket.listen({
      message: (message) => {
        if (typeof message !== 'string') this.heard.push(decodeFrame(message));
      },
      closed: (end) => (this.end = end),
    });
  }

  async connect(): Promise<ConnectPayload> {
    const { payload } = await this.hears(FrameType.Connect);
    return decodeJson(ConnectPayload, payload);
  }

  agree(ack: object = CONNECT_ACK): void {
    this.say(FrameType.ConnectAck, 0, ack);
  }

  refuse(code: string): void {
    this.say(FrameType.ConnectAck, 0, { code, message: 'no' }, FrameFlag.Err);
  }

  /** Both ends are there, and the other one has nothing yet: counted frames flow. */
  async flow(epoch: number, received = 0): Promise<void> {
    this.say(FrameType.Resume, 0, { epoch, peer_instance: OPERATOR_INSTANCE });
    await this.hears(FrameType.Resume);
    this.say(FrameType.Resume, 0, { epoch, received }, FrameFlag.Ack);
  }

  say(type: FrameType, channelId: number, payload: object, flags = 0): void {
    this.#socket.send(encodeFrame({ type, flags, channelId, payload: encodeJson(payload) }));
  }

  /** The first frame of that type, now or soon. */
  hears(type: FrameType, channelId = 0): Promise<Frame> {
    return eventually(() => this.heard.find((frame) => frame.type === type && frame.channelId === channelId), {
      what: `a frame of type ${type} on channel ${channelId}`,
    });
  }

  closed(): Promise<SocketEnd> {
    return eventually(() => this.end, { what: 'the end of the leg' });
  }

  cut(): void {
    this.#socket.terminate();
  }
}

const OPERATOR_INSTANCE = randomUUID();

/** For tests: the control plane that agents dial, with its key. It answers CONNECT when the test says so, or at once. */
export class TunnelServer implements AsyncDisposable {
  readonly key = DeviceKey.generate();
  readonly legs: ServedLeg[] = [];
  /** At once, unless the test wants to answer itself. */
  answers: 'at once' | 'by hand' = 'at once';
  ack: object = CONNECT_ACK;
  readonly #server: Server;
  readonly #clock: Clock;

  private constructor(clock: Clock) {
    this.#clock = clock;
    this.#server = createServer();
    this.#server.on('upgrade', (request, connection, head) => {
      const socket = acceptFrameSocket(request, connection, head, {
        subprotocol: TUNNEL_SUBPROTOCOL,
        maxPayloadBytes: LIMITS.frameHeaderBytes + LIMITS.framePayloadBytesMax,
      });
      if (socket === undefined) return;
      const leg = new ServedLeg(request.url ?? '', socket);
      this.legs.push(leg);
      if (this.answers === 'at once') leg.agree(this.ack);
    });
  }

  static async start(clock: Clock): Promise<TunnelServer> {
    const server = new TunnelServer(clock);
    await once(server.#server.listen(0, '127.0.0.1'), 'listening');
    return server;
  }

  get port(): number {
    return listeningPort(this.#server);
  }

  /** The newest leg, now or soon: the `count`th. */
  async leg(count: number): Promise<ServedLeg> {
    return eventually(() => this.legs[count - 1], { what: `leg ${count}` });
  }

  /** A good token, and what a test changes in it. */
  token(agentId: string, tunnelId: string, claims: Readonly<Record<string, unknown>> = {}): Promise<string> {
    return new SignJWT({ tunnel_id: tunnelId, protocol: 'tcp', domain: 'tcp', port: this.port, ...claims })
      .setProtectedHeader({ alg: 'EdDSA', typ: 'tunnel+jwt' })
      .setSubject(agentId)
      .setAudience('tunnel-agent')
      .setJti(randomUUID())
      .setExpirationTime(Math.floor(this.#clock.now() / 1000) + 120)
      .sign(this.key.privateKey);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const leg of this.legs) leg.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

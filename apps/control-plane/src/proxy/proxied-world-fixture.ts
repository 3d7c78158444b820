import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, RequestListener, RequestOptions, Server } from 'node:http';
import { connect, createServer as createTcpServer } from 'node:net';
import type { Server as TcpServer, Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { Tunnel, connectLeg } from '@drawbridge/link';
import type { ChannelOffer } from '@drawbridge/link';
import { splice } from '@drawbridge/runtime';
import { AuditRecord } from '@drawbridge/protocol/api';
import { listeningPort, socketPair } from '@drawbridge/testkit';
import type { FakeClock, SocketPair } from '@drawbridge/testkit';
import { WebSocket } from 'ws';
import { z } from 'zod';
import { recordedLink } from '../control-plane-fixture.ts';
import type { RecordedLink } from '../control-plane-fixture.ts';
import { enter } from '../rights-model-fixture.ts';
import { RightsWorld } from '../rights-world-fixture.ts';
import { askedBy } from '../tunnels/tunnels-fixture.ts';

const TcpMetadata = z.object({ host: z.literal('127.0.0.1'), port: z.number() });

/** For tests: what a client got. */
export interface Got {
  readonly status: number;
  readonly statusText: string;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly trailers: readonly string[];
  readonly body: Buffer;
}

/** For tests: an answer that has begun. */
export interface Begun {
  readonly response: IncomingMessage;
  readonly outgoing: ReturnType<typeof request>;
}

/** For tests: what is asked of a service, or of whatever is under this path. */
export interface Ask extends Omit<RequestOptions, 'headers'> {
  readonly headers?: Readonly<Record<string, string | string[]>> | readonly string[];
  readonly body?: string | Buffer;
}

/**
 * For tests: a whole control plane that listens, an agent that dials services on the loopback, and those services. Disposing leaves
 * nothing.
 */
export class ProxiedWorld implements AsyncDisposable {
  readonly world: RightsWorld;
  readonly agentId: string;
  /** Lets an operator in. */
  readonly token: string;
  /** With what the agent refuses the next channels. */
  readonly refusals: string[] = [];
  /** How often the agent was asked for a channel. */
  dials = 0;
  /** The agent's end of its tunnel, once there is one. */
  agentTunnel: Tunnel | undefined;
  readonly #services: (Server | TcpServer)[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #pairs: SocketPair[] = [];
  readonly #stop = new AbortController();

  private constructor(world: RightsWorld, agentId: string, token: string) {
    this.world = world;
    this.agentId = agentId;
    this.token = token;
  }

  static async make(): Promise<ProxiedWorld> {
    const world = await RightsWorld.make();
    await world.app.listen({ host: '127.0.0.1', port: 0 });
    const token = await enter(world, { who: 'an operator', roles: [['operator']] });
    const proxied = new ProxiedWorld(world, await world.addAgent('dev'), token);
    void world.nouns.access.run(proxied.#stop.signal);
    await proxied.#connectAgent();
    return proxied;
  }

  get clock(): FakeClock {
    return this.world.clock;
  }

  get port(): number {
    return listeningPort(this.world.app.server);
  }

  /** A web service behind the agent; resolves to its port. */
  async serve(handler: RequestListener): Promise<number> {
    const server = createServer(handler);
    return this.#listen(server);
  }

  /** A service that speaks in bytes. */
  async serveTcp(talk: (socket: Socket) => void): Promise<number> {
    return this.#listen(createTcpServer({ allowHalfOpen: true }, talk));
  }

  /** A service that is not an HTTP server's listener alone. */
  async host(server: Server): Promise<number> {
    return this.#listen(server);
  }

  /** The path of a service, as the operator calls it. */
  pathOf(port: number, target = '/'): string {
    return `/sandboxes/${this.agentId}/proxy/${port}${target}`;
  }

  /** The whole answer to a request of the operator's. */
  async ask(path: string, wanted: Ask = {}): Promise<Got> {
    const { response } = await this.begin(path, wanted);
    const body = await buffer(response);
    const { statusCode = 0, statusMessage = '', headers, rawHeaders, rawTrailers: trailers } = response;
    return { status: statusCode, statusText: statusMessage, headers, rawHeaders, trailers, body };
  }

  /** The head of the answer to a request of the operator's. */
  async begin(path: string, wanted: Ask = {}): Promise<Begun> {
    const outgoing = this.request(path, wanted);
    outgoing.end(wanted.body);
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    return { response, outgoing };
  }

  /** A request of the operator's that is not sent yet. */
  request(path: string, { headers = {}, ...wanted }: Ask = {}): ReturnType<typeof request> {
    const authorization = `Bearer ${this.token}`;
    const given = Array.isArray(headers)
      ? ['Host', `127.0.0.1:${this.port}`, 'Authorization', authorization, ...(headers as string[])]
      : { authorization, ...(headers as Record<string, string | string[]>) };
    return request({ host: '127.0.0.1', port: this.port, path, agent: false, headers: given, ...wanted });
  }

  /** All that comes for these bytes until the other side hangs up. */
  async raw(bytes: string): Promise<string> {
    const socket = connect(this.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(bytes, 'latin1');
    let heard = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => (heard += chunk));
    await once(socket, 'close');
    return heard;
  }

  /** A WebSocket of the operator's; errors show as its close. */
  webSocket(path: string, { protocols = [], headers = {} }: WebSocketAsk = {}): WebSocket {
    const ws = new WebSocket(`ws://127.0.0.1:${this.port}${path}`, [...protocols], {
      headers: { authorization: `Bearer ${this.token}`, ...headers },
      finishRequest(asked) {
        // A URL would be tidied up.
        asked.path = path;
        asked.end();
      },
    });
    return ws.on('error', () => undefined);
  }

  /** What is under way through the proxy: each watches a right. */
  underWay(): number {
    return this.world.nouns.access.size;
  }

  /** What was logged. */
  lines(): readonly unknown[] {
    return this.world.lines;
  }

  /** What was recorded, the newest first. */
  async recorded(): Promise<AuditRecord[]> {
    const asked = await this.world.app.inject({
      url: '/api/v1/audit',
      headers: { host: '127.0.0.1:7400', authorization: `Bearer ${await this.#admin()}` },
    });
    return z.object({ items: z.array(AuditRecord) }).parse(asked.json()).items;
  }

  #admin(): Promise<string> {
    return enter(this.world, { who: 'an admin', roles: [['admin']] });
  }

  /** The tunnel breaks. */
  cutTunnel(): void {
    for (const pair of this.#pairs) pair.cut();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the test is over'));
    this.cutTunnel();
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(
      this.#services.map(async (server) => {
        if ('closeAllConnections' in server) server.closeAllConnections();
        server.close();
        await once(server, 'close');
      }),
    );
    await this.world[Symbol.asyncDispose]();
  }

  async #listen(server: Server | TcpServer): Promise<number> {
    this.#services.push(server);
    server.on('connection', (socket: Socket) => {
      socket.on('error', () => undefined);
      this.#sockets.add(socket.once('close', () => this.#sockets.delete(socket)));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return listeningPort(server);
  }

  async #connectAgent(): Promise<void> {
    const { presence, delivery } = this.world.nouns;
    const link: RecordedLink = recordedLink({
      agentId: this.agentId,
      epoch: await this.world.noteConnected(this.agentId),
      send: (type, payload, id) => {
        if (type === 'command') void this.#dial({ type, payload, id });
      },
    });
    presence.attach(link);
    await delivery.linkUp(link);
  }

  /** Does what an agent does with `tunnel.open`. */
  async #dial(sent: { type: string; payload: unknown; id: string | undefined }): Promise<void> {
    const asked = askedBy(this.agentId, sent);
    if (asked === undefined) return;
    const { agentId, tunnelId, token } = asked;
    const pair = socketPair({ clock: this.clock });
    this.#pairs.push(pair);
    void this.world.nouns.tunnels.serve(agentId, tunnelId, pair.a, () => undefined);
    const connecting = { agent_id: agentId, tunnel_id: tunnelId, token, protocol: 'system', instance: agentId };
    const { socket } = await connectLeg(pair.b, connecting, this.clock);
    const accept = (offer: ChannelOffer) => this.#accept(offer);
    this.agentTunnel = new Tunnel({ socket, opens: 'even', clock: this.clock, accept });
  }

  #accept(offer: ChannelOffer): void {
    this.dials += 1;
    const refusal = this.refusals.shift();
    if (refusal !== undefined) return offer.refuse(refusal, 'the test says so');
    const socket = connect({ ...TcpMetadata.parse(offer.metadata), allowHalfOpen: true });
    const failed = () => offer.refuse('target_unreachable', 'ECONNREFUSED');
    socket.once('error', failed);
    socket.once('connect', () => {
      socket.off('error', failed);
      void splice(offer.accept(), socket, { clock: this.clock });
    });
    return undefined;
  }
}

interface WebSocketAsk {
  readonly protocols?: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
}

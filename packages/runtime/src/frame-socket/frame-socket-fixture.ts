import type { MessageSocket } from '@drawbridge/link';
import { FakeClock, listeningPort } from '@drawbridge/testkit';
import { once } from 'node:events';
import { type Server, createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Duplex } from 'node:stream';
import { WebSocket, WebSocketServer } from 'ws';
import { dialWebSocket } from '../dial.ts';
import type { ContractPair } from '../socket-contract-fixture.ts';
import { wsServerOptions } from '../ws-server-options.ts';
import { acceptFrameSocket } from './accept-frame-socket.ts';

/** What the sockets of the fixture take. */
export const MAX_PAYLOAD_BYTES = 256 * 1024;

const SUBPROTOCOL = 'drawbridge.v1';
const NEVER = new AbortController().signal;

/** For tests: a server on loopback, frame sockets on it, and WebSockets of `ws` as their peers. Disposing it ends all of them. */
export class FrameHarness implements AsyncDisposable {
  readonly #server: Server;
  readonly #identity: { cert: string; key: string } | undefined;
  readonly #connections: Duplex[] = [];
  readonly #wss = new WebSocketServer(wsServerOptions('link'));

  private constructor(identity?: { cert: string; key: string }) {
    this.#identity = identity;
    this.#server = identity === undefined ? createServer() : createTlsServer(identity);
  }

  /** With an identity everything goes over TLS. */
  static async listening(identity?: { cert: string; key: string }): Promise<FrameHarness> {
    const harness = new FrameHarness(identity);
    harness.#server.listen(0, '127.0.0.1');
    await once(harness.#server, 'listening');
    return harness;
  }

  /** A frame socket that accepted, and the client of `ws` that dialled. */
  async accepting(): Promise<ContractPair> {
    const clock = new FakeClock();
    const upgraded = once(this.#server, 'upgrade');
    const peer = new WebSocket(this.#url, [SUBPROTOCOL], { rejectUnauthorized: false, perMessageDeflate: false });
    const opened = once(peer, 'open');
    const [request, connection, head] = await upgraded;
    this.#connections.push(connection);
    const socket = acceptFrameSocket(request, connection, head, {
      subprotocol: SUBPROTOCOL,
      maxPayloadBytes: MAX_PAYLOAD_BYTES,
      clock,
    });
    if (socket === undefined) throw new Error('refused');
    await opened;
    return { socket, peer, clock, connection };
  }

  /** A frame socket that dialled, and the WebSocket of `ws` that accepted. Its `connection` is the peer's. */
  async dialling(): Promise<ContractPair> {
    const clock = new FakeClock();
    const accepted = Promise.withResolvers<{ peer: WebSocket; connection: Duplex }>();
    this.#server.once('upgrade', (request, connection, head) => {
      this.#connections.push(connection);
      this.#wss.handleUpgrade(request, connection, head, (peer) => accepted.resolve({ peer, connection }));
    });
    const options = {
      url: this.#url,
      subprotocol: SUBPROTOCOL,
      maxPayloadBytes: MAX_PAYLOAD_BYTES,
      timeoutMs: 30_000,
      tls: { verify: false },
      env: {},
      clock,
    };
    const socket: MessageSocket = await dialWebSocket(options, NEVER);
    return { socket, clock, ...(await accepted.promise) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#connections) connection.destroy();
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  get #url(): string {
    return `${this.#identity === undefined ? 'ws' : 'wss'}://127.0.0.1:${listeningPort(this.#server)}`;
  }
}

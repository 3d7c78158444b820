import type { MessageSocket } from '@drawbridge/link';
import { listeningPort } from '@drawbridge/testkit';
import { once } from 'node:events';
import type { IncomingMessage, Server as HttpServer } from 'node:http';
import type { Server, Socket } from 'node:net';
import { WebSocketServer } from 'ws';
import { DialError } from './dial-error.ts';
import { type DialOptions, dialWebSocket } from './dial.ts';
import { wsServerOptions } from './ws-server-options.ts';

const NEVER = new AbortController().signal;

/** For tests: servers on loopback, and dials to them. Disposing it ends all of them. */
export class DialHarness implements AsyncDisposable {
  readonly #servers: Server[] = [];
  readonly #accepted = new Set<Socket>();
  readonly #dialled: MessageSocket[] = [];

  /** The connections that a server still has: a test can assert that none is left. */
  get connections(): number {
    return this.#accepted.size;
  }

  /** Lets `server` listen on a free port. */
  async listen(server: Server): Promise<number> {
    this.#servers.push(server);
    server.on('connection', (socket: Socket) => {
      this.#accepted.add(socket);
      // A broken socket closes; that is where it is handled.
      socket.on('error', () => {});
      socket.on('close', () => this.#accepted.delete(socket));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return listeningPort(server);
  }

  /** Lets `server` echo every message of a WebSocket; `seen` are the requests it got. */
  async echo(server: HttpServer): Promise<{ port: number; seen: IncomingMessage[] }> {
    const wss = new WebSocketServer(wsServerOptions('link'));
    const seen: IncomingMessage[] = [];
    server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
      seen.push(request);
      wss.handleUpgrade(request, socket, head, (ws) => {
        ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
      });
    });
    return { port: await this.listen(server), seen };
  }

  /** Dials, with nothing of the environment. */
  async dial(url: string, more: Partial<DialOptions> = {}, signal = NEVER): Promise<MessageSocket> {
    const options = { url, subprotocol: 'drawbridge.v1', timeoutMs: 30_000, maxPayloadBytes: 65_536, env: {}, ...more };
    const socket = await dialWebSocket(options, signal);
    this.#dialled.push(socket);
    return socket;
  }

  /** What a dial fails with. */
  async failure(url: string, more: Partial<DialOptions> = {}): Promise<DialError> {
    const error: unknown = await this.dial(url, more).catch((reason: unknown) => reason);
    if (!(error instanceof DialError)) throw new Error('not a DialError', { cause: error });
    return error;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#dialled) socket.terminate();
    for (const server of this.#servers) {
      const closed = once(server, 'close');
      server.close();
      for (const socket of this.#accepted) socket.destroy();
      await closed;
    }
  }
}

/** Sends `message` and waits for what comes back. */
export async function roundTrip(socket: MessageSocket, message: string): Promise<string | Uint8Array> {
  const { promise, resolve, reject } = Promise.withResolvers<string | Uint8Array>();
  socket.listen({ message: resolve, closed: (end) => reject(new Error(`closed ${end.code}`)) });
  socket.send(message);
  return promise;
}

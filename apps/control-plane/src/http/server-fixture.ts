import { once } from 'node:events';
import { request } from 'node:http';
import type { RequestListener, Server } from 'node:http';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { listeningPort } from '@drawbridge/testkit';
import { memoryLog } from '@drawbridge/runtime/testing';
import { connect as connectTls } from 'node:tls';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { loadServerConfig } from '../config.ts';
import { makeServer } from './server.ts';

/** For tests: a server as production makes it, and connections to it. Disposing it ends all of them. */
export class ServerHarness implements AsyncDisposable {
  readonly server: Server;
  readonly lines: readonly Record<string, unknown>[];
  readonly #clients: Socket[] = [];

  private constructor(server: Server, lines: readonly Record<string, unknown>[]) {
    this.server = server;
    this.lines = lines;
  }

  /** Listens on loopback, whatever `settings` say; every request is answered with "hello". */
  static async start(settings: Record<string, unknown> = {}, handler: RequestListener = hello): Promise<ServerHarness> {
    const { log, lines } = memoryLog();
    const server = makeServer(loadServerConfig({ env: {}, overrides: settings }), log, handler);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new ServerHarness(server, lines);
  }

  get port(): number {
    return listeningPort(this.server);
  }

  /** A connection on which nothing has been said. */
  async connect(): Promise<Socket> {
    const socket = connect(this.port, '127.0.0.1');
    this.#clients.push(this.#quiet(socket));
    await once(socket, 'connect');
    return socket;
  }

  /** A TLS connection once its handshake is over. */
  async connectTls(options: ConnectionOptions): Promise<TLSSocket> {
    const socket = connectTls({ port: this.port, host: '127.0.0.1', ...options });
    this.#clients.push(socket);
    await once(socket, 'secureConnect');
    this.#quiet(socket);
    return socket;
  }

  /** The status of `GET /` on a connection of its own. */
  async get(headers: Record<string, string> = {}): Promise<number> {
    const asked = request({ port: this.port, host: '127.0.0.1', headers, agent: false });
    const answered = once(asked, 'response');
    asked.end();
    const [response] = await answered;
    response.resume();
    return response.statusCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.destroy();
    this.server.closeAllConnections();
    if (!this.server.listening) return;
    const closed = once(this.server, 'close');
    this.server.close();
    await closed;
  }

  /** A reset is how a server says no: it shows as the close. */
  #quiet<S extends Socket>(socket: S): S {
    return socket.on('error', () => undefined);
  }
}

function hello(_request: unknown, response: { end: (text: string) => void }): void {
  response.end('hello');
}

/** For tests: everything that comes until the other side hangs up. */
export async function untilClosed(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (chunk) => (text += String(chunk)));
  if (!socket.closed) await once(socket, 'close');
  return text;
}

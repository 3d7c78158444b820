import { once } from 'node:events';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Server as HttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Logger } from '@drawbridge/runtime';
import type { ServerConfig } from '../config.ts';
import { answerClientError } from '../http/client-error.ts';
import { makeServer } from '../http/server.ts';
import { readServerTls } from '../http/server-tls.ts';
import type { ServerTls } from '../http/server-tls.ts';
import type { BoundPort } from '../tunnels/port-pool.ts';

/** Which lease's port somebody came in by. */
export interface LeasedPort {
  readonly port: number;
  readonly tunnelId: string;
}

/** Takes over a connection that wants to become a WebSocket. Never throws; the socket is answered or closed. */
export type LeasedUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer, leased: LeasedPort) => void;

export interface LeasedListenersOptions {
  readonly config: Pick<ServerConfig, 'listen' | 'limits'>;
  readonly log: Logger;
}

/**
 * The listeners of leases that have a port of their own: with the address, the certificate and the bounds of the main one. They take
 * WebSockets and nothing else.
 */
export class LeasedListeners implements AsyncDisposable {
  readonly #options: LeasedListenersOptions;
  /** Every listener, and its connections that are no tunnel yet, by their other ends. */
  readonly #open = new Map<Server, ReadonlyMap<string, Socket>>();
  #tls: ServerTls | undefined;
  #handOver: LeasedUpgrade = (_request, socket) => socket.destroy();

  constructor(options: LeasedListenersOptions) {
    const { tls } = options.config.listen;
    this.#options = options;
    // Kept: what the files hold later may be no good, or half of a pair.
    this.#tls = tls === undefined ? undefined : readServerTls(tls);
  }

  /** Hands every WebSocket that comes to `handler`; before that, none is taken. */
  handOver(handler: LeasedUpgrade): void {
    this.#handOver = handler;
  }

  /** Bound, so that a pool of ports takes it as a function. Rejects with the system's error when the port cannot be had. */
  readonly bind = async (port: number, tunnelId: string): Promise<BoundPort> => {
    const { config, log } = this.#options;
    const server = makeServer(config, log, refuseRequest, this.#tls);
    server.on('clientError', answerClientError);
    const strangers = this.#strangersOf(server);
    server.on('upgrade', (request, socket, head) => this.#handOver(request, socket, head, { port, tunnelId }));
    server.listen({ host: config.listen.host, port });
    await once(server, 'listening');
    this.#open.set(server, strangers);
    server.on('error', (error) => log.error({ err: error, port, tunnelId }, 'listener of a tunnel failed'));
    log.info({ port, tunnelId }, 'listener of a tunnel open');
    return { close: () => this.#close(server, { port, tunnelId }) };
  };

  /** From now on every listener, and every later one, shows this certificate; connections there are go on. */
  readonly useCertificate = (tls: ServerTls): void => {
    this.#tls = tls;
    for (const server of this.#open.keys()) if (server instanceof HttpsServer) server.setSecureContext(tls.context);
  };

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(Array.from(this.#open.keys(), (server) => this.#close(server, {})));
  }

  /** Those that came in and have not become a WebSocket. Over TLS an upgrade shows another socket than the one that came in. */
  #strangersOf(server: Server): ReadonlyMap<string, Socket> {
    const strangers = new Map<string, Socket>();
    server.on('connection', (socket) => {
      const end = endOf(socket);
      strangers.set(end, socket);
      socket.once('close', () => strangers.delete(end));
    });
    server.on('upgrade', ({ socket }) => strangers.delete(endOf(socket)));
    return strangers;
  }

  /** WebSockets that came in by it are closed where they went, and not waited for; what is none is cut. */
  async #close(server: Server, names: object): Promise<void> {
    const strangers = this.#open.get(server);
    if (strangers === undefined) return;
    this.#open.delete(server);
    server.close();
    for (const socket of strangers.values()) socket.destroy();
    this.#options.log.info(names, 'listener of a tunnel closed');
  }
}

function endOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

const BODY = JSON.stringify({ code: 'not_found', message: 'only a tunnel is served here' });

function refuseRequest(_request: IncomingMessage, response: ServerResponse): void {
  response
    .writeHead(404, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(BODY),
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
      connection: 'close',
    })
    .end(BODY);
}

import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { listeningPort } from './listening-port.ts';

/** Who may use a proxy. */
export interface ProxyCredentials {
  readonly user: string;
  readonly password: string;
}

/** Where a proxy listens, and for whom. */
export interface ConnectProxyOptions {
  readonly host?: string;
  readonly credentials?: ProxyCredentials;
  /** Hears of each tunnel when it is opened. */
  readonly onTunnel?: (target: string) => void;
}

/** An HTTP proxy that does CONNECT and nothing else, as companies put between their machines and the world. */
export class ConnectProxy implements AsyncDisposable {
  /** What was asked for, as `host:port`, in order; only what was let through. */
  readonly targets: string[] = [];
  readonly #options: ConnectProxyOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Duplex>();
  #refused = 0;

  private constructor(options: ConnectProxyOptions) {
    this.#options = options;
    this.#server = createServer((_request, response) => response.writeHead(405).end());
    this.#server.on('connection', (socket) => this.#own(socket));
    this.#server.on('connect', (request, socket, head) => this.#connect(request, socket, head));
  }

  /** Listens on a free port. */
  static async start(options: ConnectProxyOptions = {}): Promise<ConnectProxy> {
    const proxy = new ConnectProxy(options);
    proxy.#server.listen(0, options.host ?? '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get port(): number {
    return listeningPort(this.#server);
  }

  /** For HTTPS_PROXY and `server.proxy`, credentials included. */
  get url(): string {
    const { host = '127.0.0.1', credentials } = this.#options;
    const userInfo =
      credentials === undefined
        ? ''
        : `${encodeURIComponent(credentials.user)}:${encodeURIComponent(credentials.password)}@`;
    return `http://${userInfo}${host}:${this.port}`;
  }

  /** How many tunnels were opened since the start. */
  get tunnels(): number {
    return this.targets.length;
  }

  /** How many requests were answered with 407. */
  get refused(): number {
    return this.#refused;
  }

  /** Breaks every tunnel of now. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.cut();
    await closed;
  }

  #connect(request: IncomingMessage, client: Duplex, head: Buffer): void {
    if (!this.#mayUse(request)) {
      this.#refused += 1;
      client.end('HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="proxy"\r\n\r\n');
      return;
    }
    const target = request.url ?? '';
    const { hostname, port } = new URL(`http://${target}`);
    const upstream = connect({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port === '' ? 80 : port) });
    this.#own(upstream);
    const unreachable = () => client.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
    upstream.once('error', unreachable);
    upstream.once('connect', () => {
      upstream.off('error', unreachable);
      this.targets.push(target);
      this.#options.onTunnel?.(target);
      client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      upstream.write(head);
      join(client, upstream);
    });
  }

  #mayUse(request: IncomingMessage): boolean {
    const { credentials } = this.#options;
    if (credentials === undefined) return true;
    const expected = Buffer.from(`${credentials.user}:${credentials.password}`).toString('base64');
    return request.headers['proxy-authorization'] === `Basic ${expected}`;
  }

  #own(socket: Duplex): void {
    this.#sockets.add(socket);
    // A broken socket closes; that is where it is handled.
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
  }
}

/** The end of either side is the end of the other. */
function join(client: Duplex, upstream: Socket): void {
  client.pipe(upstream).pipe(client);
  client.on('close', () => upstream.destroy());
  upstream.on('close', () => client.destroy());
}

import { type Clock, systemClock } from '@drawbridge/link';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { ChaosConnection, type Direction } from './chaos-connection.ts';
import { ChaosFaults } from './chaos-faults.ts';
import { listeningPort } from './listening-port.ts';

/** Where a proxy stands. */
export interface ChaosProxyOptions {
  /** What it leads to: an address, or a URL whose scheme `url` then has too. */
  readonly to: { readonly host: string; readonly port: number } | string;
  readonly listenHost?: string;
  readonly clock?: Clock;
}

/**
 * A bad network in front of one TCP server. Faults are set while it runs and last until `heal`; without a direction they
 * hold for both. Delay and throttle are for each connection; the counts of `corrupt` and `cutAfterBytes` are for all together.
 */
export class ChaosProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #clock: Clock;
  readonly #to: Target;
  readonly #faults = { up: new ChaosFaults(), down: new ChaosFaults() } satisfies Record<Direction, ChaosFaults>;
  readonly #carriedBytes = { up: 0, down: 0 } satisfies Record<Direction, number>;
  readonly #connections = new Set<ChaosConnection>();
  readonly #host: string;
  #accepted = 0;
  #refusing = false;

  private constructor(options: ChaosProxyOptions) {
    this.#to = targetOf(options.to);
    this.#host = options.listenHost ?? '127.0.0.1';
    this.#clock = options.clock ?? systemClock;
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (socket) =>
      this.#accept(socket),
    );
  }

  /** Listens on a free port. */
  static async start(options: ChaosProxyOptions): Promise<ChaosProxy> {
    const proxy = new ChaosProxy(options);
    proxy.#server.listen(0, proxy.#host);
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get port(): number {
    return listeningPort(this.#server);
  }

  /** What to dial instead of the target. */
  get url(): string {
    return `${this.#to.protocol}//${this.#host.includes(':') ? `[${this.#host}]` : this.#host}:${this.port}`;
  }

  /** How many connections were accepted since the start; refused ones count too. */
  get connections(): number {
    return this.#accepted;
  }

  /** How many connections have a side that is still open. */
  get openConnections(): number {
    return this.#connections.size;
  }

  /** How many bytes were passed on in a direction since the start. */
  carriedBytes(direction: Direction): number {
    return this.#carriedBytes[direction];
  }

  /** Everything takes `delayMs` longer, in order. */
  delay(delayMs: number, direction?: Direction): void {
    this.#change(direction, (faults) => (faults.delayMs = delayMs));
  }

  /** Each connection carries that much at most. */
  throttle(bytesPerSecond: number, direction?: Direction): void {
    this.#change(direction, (faults) => (faults.bytesPerSecond = bytesPerSecond));
  }

  /** Nothing arrives and nothing closes, as if every packet were dropped. A new connection opens and stays silent. */
  blackhole(direction?: Direction): void {
    this.#change(direction, (faults) => (faults.blocked = true));
  }

  /** Flips one bit of the byte behind the next `afterBytes` bytes, once. */
  corrupt({ afterBytes }: { readonly afterBytes: number }, direction?: Direction): void {
    this.#change(direction, (faults) => faults.corrupt(afterBytes));
  }

  /** Cuts the connection that carries the last of the next `byteCount` bytes, right behind it, once. */
  cutAfterBytes(byteCount: number, direction?: Direction): void {
    this.#change(direction, (faults) => faults.cutAfter(byteCount));
  }

  /** Ends the connections of now with FIN, on both sides. */
  cut(): void {
    for (const connection of this.#connections) connection.cut();
  }

  /** Ends the connections of now with RST, on both sides. */
  reset(): void {
    for (const connection of this.#connections) connection.reset();
  }

  /** Leaves the connections of now open and silent for good, as a NAT that forgot them. New ones work. */
  halfOpen(): void {
    for (const connection of this.#connections) connection.forget();
  }

  /** Resets each new connection at once. The port stays taken, so nobody else gets it meanwhile. */
  refuse(): void {
    this.#refusing = true;
  }

  /** Takes all faults back: what a black hole held up goes on. */
  heal(): void {
    this.#refusing = false;
    this.#change(undefined, (faults) => faults.heal());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.reset();
    await closed;
  }

  #accept(client: Socket): void {
    this.#accepted += 1;
    const connection = new ChaosConnection({
      client,
      to: this.#to,
      faults: this.#faults,
      clock: this.#clock,
      onCarried: (direction, byteCount) => (this.#carriedBytes[direction] += byteCount),
      onClosed: (closed) => this.#connections.delete(closed),
    });
    this.#connections.add(connection);
    if (this.#refusing) connection.reset();
    else connection.move();
  }

  #change(direction: Direction | undefined, change: (faults: ChaosFaults) => void): void {
    const { up, down } = this.#faults;
    for (const faults of direction === undefined ? [up, down] : [this.#faults[direction]]) change(faults);
    for (const connection of this.#connections) connection.move();
  }
}

interface Target {
  readonly protocol: string;
  readonly host: string;
  readonly port: number;
}

function targetOf(to: ChaosProxyOptions['to']): Target {
  if (typeof to !== 'string') return { protocol: 'http:', ...to };
  const { protocol, hostname, port } = new URL(to);
  const defaultPort = protocol === 'https:' || protocol === 'wss:' ? 443 : 80;
  return { protocol, host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? defaultPort : Number(port) };
}

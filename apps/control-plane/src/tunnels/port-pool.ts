import { ControlError } from '@drawbridge/protocol';
import { parsePortRange } from '../config.ts';
import type { ServerConfig } from '../config.ts';

/** Something that listens for one tunnel. */
export interface BoundPort {
  close(): Promise<void>;
}

/** Listens on a port for one tunnel; rejects with the system's error when the port cannot be had. */
export type BindPort = (port: number, tunnelId: string) => Promise<BoundPort>;

/** The ports that leases are reached by. */
export interface LeasePorts extends AsyncDisposable {
  /** A port for a new lease. Rejects with `port_pool_exhausted` when there is none. */
  take(tunnelId: string): Promise<number>;
  /** The port that a lease had before a restart, or another one where that is lost. */
  takeAgain(port: number, tunnelId: string): Promise<number>;
  /** Gives a lease's port back, and closes what listens on it. Twice is fine. */
  release(tunnelId: string): Promise<void>;
  /** How many there are, and how many of them are taken; none are counted where all leases share one. */
  readonly size: number;
  readonly used: number;
}

/** The ports that the configuration asks for. `publicUrl` is where others reach this server; empty while nobody knows. */
export function leasePorts(
  { listen, tunnels }: Pick<ServerConfig, 'listen' | 'tunnels'>,
  { publicUrl, bindPort }: { readonly publicUrl: () => string; readonly bindPort: BindPort | undefined },
): LeasePorts {
  if (tunnels.listener === 'leased') {
    const range = parsePortRange(tunnels.port_range);
    if (range === undefined || bindPort === undefined) throw new Error('leased ports need a range and a listener');
    return new LeasedPorts(range, bindPort);
  }
  return new SharedPort(() => {
    const url = listen.public_url ?? publicUrl();
    return url === '' ? listen.port : portOf(new URL(url));
  });
}

function portOf({ port, protocol }: URL): number {
  if (port !== '') return Number(port);
  return protocol === 'https:' ? 443 : 80;
}

/** Every lease is reached by the main listener's port. */
export class SharedPort implements LeasePorts {
  readonly size = 0;
  readonly used = 0;
  readonly #port: () => number;

  /** `port` is the one by which others reach the main listener; 0 while nobody knows it. */
  constructor(port: () => number) {
    this.#port = port;
  }

  async take(): Promise<number> {
    return this.#port();
  }

  async takeAgain(port: number): Promise<number> {
    const current = this.#port();
    return current === 0 ? port : current;
  }

  release(): Promise<void> {
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

/** What was wrong with a port, so that the next one may do. */
const TAKEN = new Set(['EADDRINUSE', 'EACCES']);

/** Each lease has a port and a listener of its own: the first free one after the last that was given, round and round. */
export class LeasedPorts implements LeasePorts {
  readonly size: number;
  readonly #first: number;
  readonly #bind: BindPort;
  readonly #byPort = new Map<number, string>();
  readonly #byTunnel = new Map<string, { readonly port: number; readonly bound: BoundPort }>();
  #nextOffset = 0;

  constructor({ first, last }: { readonly first: number; readonly last: number }, bind: BindPort) {
    this.#first = first;
    this.size = last - first + 1;
    this.#bind = bind;
  }

  get used(): number {
    return this.#byPort.size;
  }

  async take(tunnelId: string): Promise<number> {
    for (let tried = 0; tried < this.size; tried += 1) {
      const port = this.#first + this.#nextOffset;
      this.#nextOffset = (this.#nextOffset + 1) % this.size;
      if (await this.#takeThis(port, tunnelId)) return port;
    }
    const range = `${this.#first}-${this.#first + this.size - 1}`;
    throw new ControlError('port_pool_exhausted', `no port of ${range} is free: tunnels.port_range`);
  }

  async takeAgain(port: number, tunnelId: string): Promise<number> {
    const isOurs = port >= this.#first && port < this.#first + this.size;
    return isOurs && (await this.#takeThis(port, tunnelId)) ? port : this.take(tunnelId);
  }

  async release(tunnelId: string): Promise<void> {
    const taken = this.#byTunnel.get(tunnelId);
    if (taken === undefined) return;
    this.#byTunnel.delete(tunnelId);
    try {
      await taken.bound.close();
    } finally {
      this.#byPort.delete(taken.port);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(Array.from(this.#byTunnel.keys(), (tunnelId) => this.release(tunnelId)));
  }

  async #takeThis(port: number, tunnelId: string): Promise<boolean> {
    if (this.#byPort.has(port)) return false;
    // Before the system is asked: meanwhile nobody else takes it.
    this.#byPort.set(port, tunnelId);
    try {
      this.#byTunnel.set(tunnelId, { port, bound: await this.#bind(port, tunnelId) });
      return true;
    } catch (cause) {
      this.#byPort.delete(port);
      const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
      if (TAKEN.has(code)) return false;
      // Out of file descriptors, or of memory: another port would do no better.
      throw new ControlError('port_pool_exhausted', `cannot listen on port ${port}: ${code || 'failed'}`, { cause });
    }
  }
}

import { fileURLToPath } from 'node:url';
import { Worker } from './worker.ts';

/** What a load does with the port it is told; `hold` asks for streams that it never reads, and keeps until `release`. */
export type LoadOrder =
  | {
      readonly do: 'transfer';
      readonly direction: 'up' | 'down';
      readonly port: number;
      readonly streams: number;
      readonly forMs: number;
    }
  | { readonly do: 'round-trips'; readonly port: number; readonly count: number; readonly pauseMs: number }
  | { readonly do: 'connections'; readonly port: number; readonly callers: number; readonly forMs: number }
  | { readonly do: 'hold'; readonly port: number; readonly streams: number }
  | { readonly do: 'release' };

export interface Transfer {
  readonly bytes: number;
  readonly seconds: number;
  /** In the second half of the time: without the beginning. */
  readonly lateBytesPerSecond: number;
}

/** The answer to each order has the fields of what was done. */
export interface LoadAnswer {
  readonly transfer?: Transfer;
  readonly milliseconds?: readonly number[];
  readonly connectionsPerSecond?: number;
}

const LOAD_MAIN = fileURLToPath(new URL('./tcp-load-main.ts', import.meta.url));
const SINK_MAIN = fileURLToPath(new URL('./sink-main.ts', import.meta.url));
/** Opened at the same time when connections are counted. */
const CALLERS = 8;

/** A process that talks to sinks, through whatever is behind a port. */
export class TcpLoad implements AsyncDisposable {
  readonly #worker: Worker<LoadOrder, LoadAnswer>;

  private constructor(worker: Worker<LoadOrder, LoadAnswer>) {
    this.#worker = worker;
  }

  static async start(): Promise<TcpLoad> {
    return new TcpLoad(await Worker.start(LOAD_MAIN));
  }

  /** Sends or receives on so many connections at once for `forMs`, and waits until all has arrived. */
  async transfer(direction: 'up' | 'down', port: number, streams: number, forMs: number): Promise<Transfer> {
    const { transfer } = await this.#worker.ask({ do: 'transfer', direction, port, streams, forMs });
    if (transfer === undefined) throw new Error('nothing was transferred');
    return transfer;
  }

  /** How long each of `count` bytes took there and back, one after the other with a pause between, on one connection. */
  async roundTrips(port: number, count: number, pauseMs = 0): Promise<readonly number[]> {
    const { milliseconds = [] } = await this.#worker.ask({ do: 'round-trips', port, count, pauseMs });
    return milliseconds;
  }

  /** How many connections a second are opened, carry one byte there and back, and are closed. */
  async connectionsPerSecond(port: number, forMs: number): Promise<number> {
    const { connectionsPerSecond = 0 } = await this.#worker.ask({ do: 'connections', port, callers: CALLERS, forMs });
    return connectionsPerSecond;
  }

  /** Asks for `streams` endless streams and reads none of them. */
  async hold(port: number, streams: number): Promise<void> {
    await this.#worker.ask({ do: 'hold', port, streams });
  }

  /** Drops what is held. */
  async release(): Promise<void> {
    await this.#worker.ask({ do: 'release' });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#worker[Symbol.asyncDispose]();
  }
}

/** A process of its own at the end of the chains; `ready` is its port. */
export function startSink(): Promise<Worker<never, null, number>> {
  return Worker.start(SINK_MAIN);
}

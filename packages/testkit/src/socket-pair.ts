import type { Clock, MessageSocket, SocketEnd, SocketListener, Timer } from '@drawbridge/link';
import { Wire } from './wire.ts';
import type { WireFaults } from './wire.ts';

/** What is wrong with the network between two sockets. */
export interface SocketPairOptions {
  readonly aToB?: WireFaults;
  readonly bToA?: WireFaults;
  /** Needed for `latencyMs`, and for the limit of a close that the peer never answers. */
  readonly clock?: Clock;
  /** Each way. */
  readonly latencyMs?: number;
}

/** Two connected sockets, and the wires between them. */
export interface SocketPair {
  readonly a: MessageSocket;
  readonly b: MessageSocket;
  readonly aToB: Wire;
  readonly bToA: Wire;
  /** The network breaks now: both ends hear 1006, and what was on its way is lost. */
  readonly cut: () => void;
}

const CLOSE_TIMEOUT_MS = 30_000;
const LOST: SocketEnd = { code: 1006, reason: '' };

/** Two MessageSockets in memory: asynchronous, in order, and as unreliable as asked. */
export function socketPair(options: SocketPairOptions = {}): SocketPair {
  const { clock, latencyMs } = options;
  const cut = () => {
    a.lose(LOST);
    b.lose(LOST);
  };
  const delay = clock !== undefined && latencyMs !== undefined ? { clock, latencyMs } : undefined;
  const aToB = new Wire({ faults: options.aToB, delay, onCut: cut });
  const bToA = new Wire({ faults: options.bToA, delay, onCut: cut });
  const a = new PairedSocket(aToB, bToA, clock, cut);
  const b = new PairedSocket(bToA, aToB, clock, cut);
  return { a, b, aToB, bToA, cut };
}

/** One end: sends on one wire, hears from the other. */
class PairedSocket implements MessageSocket {
  readonly #out: Wire;
  readonly #in: Wire;
  readonly #clock: Clock | undefined;
  readonly #cut: () => void;
  #listener: SocketListener | undefined;
  #closing: { timer: Timer | undefined } | undefined;
  #end: SocketEnd | undefined;

  constructor(out: Wire, incoming: Wire, clock: Clock | undefined, cut: () => void) {
    this.#out = out;
    this.#in = incoming;
    this.#clock = clock;
    this.#cut = cut;
  }

  get bufferedBytes(): number {
    return this.#out.bufferedBytes;
  }

  send(message: string | Uint8Array): void {
    if (this.#end === undefined && this.#closing === undefined) this.#out.put({ kind: 'message', message });
  }

  close(code: number, reason: string): void {
    if (this.#end !== undefined || this.#closing !== undefined) return;
    this.#closing = { timer: this.#clock?.after(CLOSE_TIMEOUT_MS, this.#cut) };
    this.#out.put({ kind: 'close', end: { code, reason }, onDelivered: () => this.lose({ code, reason }) });
  }

  terminate(): void {
    this.#cut();
  }

  pause(): void {
    this.#in.stall('reader');
  }

  resume(): void {
    this.#in.release('reader');
  }

  listen(listener: SocketListener): void {
    if (this.#listener !== undefined) throw new Error('a socket is listened to once');
    this.#listener = listener;
    if (this.#end !== undefined) {
      const end = this.#end;
      queueMicrotask(() => listener.closed(end));
      return;
    }
    this.#out.onDrained = () => listener.drained?.();
    this.#in.connect({
      message: (message) => {
        listener.alive?.();
        listener.message(message);
      },
      closed: (end) => this.lose(end),
    });
  }

  /** The connection is over for this end: its listener hears so once, and soon. */
  lose(end: SocketEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#closing?.timer?.cancel();
    this.#out.stop();
    this.#in.stop();
    const listener = this.#listener;
    if (listener !== undefined) queueMicrotask(() => listener.closed(end));
  }
}

import type { Duplex } from 'node:stream';
import { WebSocket } from 'ws';
import type { RawData } from 'ws';
import type { Clock, Timer } from '@drawbridge/link';
import { endForClient, endForService, endOfError, endOfFault } from './close-codes.ts';
import type { LegEnd } from './close-codes.ts';
import { PROXY_LIMITS } from './limits.ts';

/** One end of a WebSocket, and the connection below it. */
export interface Leg {
  readonly ws: WebSocket;
  readonly socket: Duplex;
}

/**
 * Carries messages between a client and a service until both ends are closed: text as text, binary as binary, each way no faster than
 * the other end takes it, and the close of one end on to the other. An abort closes both. Resolves with how the two have ended.
 */
export async function relayMessages(
  { client, service, clock }: { readonly client: Leg; readonly service: Leg; readonly clock: Clock },
  signal: AbortSignal,
): Promise<{ readonly client: LegEnd; readonly service: LegEnd }> {
  const ends = [untilClosed(client.ws), untilClosed(service.ws)] as const;
  const hearts = [new Heart(client, clock), new Heart(service, clock)];
  const legs = [client.ws, service.ws];
  carry(client.ws, service.ws);
  carry(service.ws, client.ws);
  const aborted = () => {
    const end = endOfError(signal.reason);
    for (const ws of legs) close(ws, end);
  };
  if (signal.aborted) aborted();
  signal.addEventListener('abort', aborted, { once: true });
  ends[0].then((end) => close(service.ws, endForService(end))).catch(() => undefined);
  ends[1].then((end) => close(client.ws, endForClient(end))).catch(() => undefined);
  service.ws.resume();
  const [clientEnd, serviceEnd] = await Promise.all(ends);
  signal.removeEventListener('abort', aborted);
  for (const heart of hearts) heart[Symbol.dispose]();
  return { client: clientEnd, service: serviceEnd };
}

/** Gives every message of one end to the other, and reads no further while that has too much unsent. */
function carry(from: WebSocket, to: WebSocket): void {
  const sent = () => {
    if (from.isPaused && to.bufferedAmount <= PROXY_LIMITS.unsentBytesMax) from.resume();
  };
  from.on('message', (data: RawData, isBinary) => {
    if (to.readyState !== WebSocket.OPEN) return;
    to.send(data, { binary: isBinary }, sent);
    if (to.bufferedAmount > PROXY_LIMITS.unsentBytesMax) from.pause();
  });
}

/** How an end has ended: with its peer's close, or with what we found wrong with its messages. */
function untilClosed(ws: WebSocket): Promise<LegEnd> {
  return new Promise((resolve) => {
    let fault: LegEnd | undefined;
    ws.on('error', (error) => (fault ??= endOfFault(error)));
    ws.once('close', (code, reason) => resolve(fault ?? { code, reason: reason.toString() }));
  });
}

function close(ws: WebSocket, { code, reason }: LegEnd): void {
  if (ws.readyState !== WebSocket.OPEN) return;
  ws.close(code, reason);
  // Its answer has to be read, whoever paused.
  ws.resume();
}

/** Pings an end, which keeps what is between alive as well, and drops it once it is silent although it is read. */
class Heart implements Disposable {
  readonly #leg: Leg;
  readonly #clock: Clock;
  #heardMs: number;
  #timer: Timer;

  constructor(leg: Leg, clock: Clock) {
    this.#leg = leg;
    this.#clock = clock;
    this.#heardMs = clock.monotonic();
    this.#timer = clock.after(PROXY_LIMITS.pingMs, this.#beat);
    leg.socket.on('data', this.#heard);
  }

  [Symbol.dispose](): void {
    this.#timer.cancel();
    this.#leg.socket.off('data', this.#heard);
  }

  readonly #heard = (): void => {
    this.#heardMs = this.#clock.monotonic();
  };

  readonly #beat = (): void => {
    const { ws } = this.#leg;
    // Nobody reads what it says.
    if (ws.isPaused) this.#heard();
    if (this.#clock.monotonic() - this.#heardMs >= PROXY_LIMITS.silentMs) ws.terminate();
    else {
      if (ws.readyState === WebSocket.OPEN) ws.ping();
      this.#timer = this.#clock.after(PROXY_LIMITS.pingMs, this.#beat);
    }
  };
}

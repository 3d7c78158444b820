import { type Clock, type MessageSocket, systemClock } from '@drawbridge/link';
import type { Duplex } from 'node:stream';
import { WebSocket } from 'ws';
import { type ConnectOptions, withConnection } from './connect.ts';
import { DialError, retryAfterMs } from './dial-error.ts';
import { parseUrl } from './parse-url.ts';
import { wsLimits } from './ws-server-options.ts';
import { wsSocket } from './ws-socket.ts';

/** Whom to dial, and how. */
export interface DialOptions extends Omit<ConnectOptions, 'clock'> {
  /** ws:, wss:, http: or https:. */
  readonly url: string;
  readonly subprotocol: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly maxPayloadBytes: number;
  readonly clock?: Clock;
}

/**
 * Opens a WebSocket. The server has proven who it is before it sees a header of ours. Rejects with a DialError, or with
 * `signal.reason`, leaving nothing behind.
 */
export async function dialWebSocket(options: DialOptions, signal: AbortSignal): Promise<MessageSocket> {
  const { clock = systemClock } = options;
  const url = parseUrl(options.url);
  return withConnection(url, { ...options, clock }, signal, (transport, limit) =>
    upgrade(url, transport, { ...options, clock }, limit),
  );
}

function upgrade(
  url: URL,
  transport: Duplex,
  { subprotocol, headers = {}, maxPayloadBytes, clock }: DialOptions & { clock: Clock },
  signal: AbortSignal,
): Promise<MessageSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<MessageSocket>();
  const ws = new WebSocket(url, [subprotocol], {
    ...wsLimits(maxPayloadBytes),
    headers: { ...headers },
    createConnection: () => transport,
  });
  const aborted = () => ws.terminate();
  signal.addEventListener('abort', aborted, { once: true });
  ws.once('open', () => resolve(wsSocket(ws, { transport, clock })));
  // Without a code it is `ws` that dislikes the answer: a wrong subprotocol, a wrong accept key.
  ws.on('error', (error) => reject('code' in error ? error : new DialError('http', `${url.host}: ${error.message}`)));
  ws.once('unexpected-response', (_request, response) => {
    const httpStatus = response.statusCode ?? 0;
    const waitMs = retryAfterMs(response.headers['retry-after'], clock.now());
    reject(new DialError('http', `${url.host} answered ${httpStatus}`, { httpStatus, retryAfterMs: waitMs }));
  });
  return promise.finally(() => signal.removeEventListener('abort', aborted));
}

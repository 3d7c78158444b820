import { type Clock, type MessageSocket, systemClock } from '@drawbridge/link';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type ConnectOptions, withConnection } from './connect.ts';
import { DialError, retryAfterMs } from './dial-error.ts';
import { frameSocket } from './frame-socket/frame-socket.ts';
import { parseUrl } from './parse-url.ts';
import { refusalOf } from './refusal.ts';
import { HandshakeError, requestUpgrade } from './request-upgrade.ts';

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

async function upgrade(
  url: URL,
  transport: Duplex,
  { subprotocol, headers = {}, maxPayloadBytes, clock }: DialOptions & { clock: Clock },
  signal: AbortSignal,
): Promise<MessageSocket> {
  try {
    return await requestUpgrade({ url, transport, subprotocol, headers }, signal, (answer) =>
      answer.is === 'upgraded'
        ? frameSocket(transport, { role: 'client', head: answer.head, maxPayloadBytes, clock })
        : refused(url, answer.response, clock),
    );
  } catch (error) {
    if (!(error instanceof HandshakeError)) throw error;
    throw new DialError('http', `${url.host}: ${error.message}`, { cause: error });
  }
}

async function refused(url: URL, response: IncomingMessage, clock: Clock): Promise<never> {
  const httpStatus = response.statusCode ?? 0;
  const waitMs = retryAfterMs(response.headers['retry-after'], clock.now());
  const said = await refusalOf(response, clock);
  const message = `${url.host} answered ${httpStatus}${said === '' ? '' : `: ${said}`}`;
  throw new DialError('http', message, { httpStatus, retryAfterMs: waitMs });
}

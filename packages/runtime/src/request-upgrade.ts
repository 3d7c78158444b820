import { hash, randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { httpRequest } from './http-request.ts';

/** What the server's key is joined with before it is hashed (RFC 6455 §1.3). */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** The server did not become a WebSocket's other end. */
export class HandshakeError extends Error {
  override readonly name = 'HandshakeError';
}

/** `Sec-WebSocket-Accept` for a client's key. */
export function acceptKeyFor(key: string): string {
  return hash('sha1', key + GUID, 'base64');
}

export interface UpgradeRequest {
  readonly url: URL;
  /** The connection to the server; it ends with a failed request. */
  readonly transport: Duplex;
  readonly subprotocol: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** How a server answered: with a WebSocket, whose first bytes are `head`, or otherwise. */
export type UpgradeAnswer =
  { readonly is: 'upgraded'; readonly head: Buffer } | { readonly is: 'refused'; readonly response: IncomingMessage };

/**
 * The client's half of the handshake of RFC 6455 §4.1, without extensions. Rejects with what broke the connection, or with a
 * HandshakeError when the server's answer is no WebSocket of this subprotocol. `use` runs in the tick of the answer, so that
 * nothing that comes behind it is lost.
 */
export function requestUpgrade<T>(
  { url, transport, subprotocol, headers }: UpgradeRequest,
  signal: AbortSignal,
  use: (answer: UpgradeAnswer) => T,
): Promise<T> {
  const key = randomBytes(16).toString('base64');
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      createConnection: () => transport,
      path: `${url.pathname}${url.search}`,
      headers: {
        ...headers,
        Host: url.host,
        Connection: 'Upgrade',
        Upgrade: 'websocket',
        'Sec-WebSocket-Version': '13',
        'Sec-WebSocket-Key': key,
        'Sec-WebSocket-Protocol': subprotocol,
      },
    });
    const aborted = () => request.destroy(new Error('aborted', { cause: signal.reason }));
    signal.addEventListener('abort', aborted, { once: true });
    const settle = (answer: () => UpgradeAnswer) => {
      signal.removeEventListener('abort', aborted);
      try {
        resolve(use(answer()));
      } catch (error) {
        reject(error);
      }
    };
    request.once('upgrade', (response, _socket, head) =>
      settle(() => {
        checkAnswer(response, key, subprotocol);
        return { is: 'upgraded', head };
      }),
    );
    request.once('response', (response) => settle(() => ({ is: 'refused', response })));
    // Stays for good: what breaks later is the business of who reads.
    request.on('error', (error) => {
      signal.removeEventListener('abort', aborted);
      reject(error);
    });
    request.end();
  });
}

function checkAnswer({ headers }: IncomingMessage, key: string, subprotocol: string): void {
  if (headers.upgrade?.toLowerCase() !== 'websocket') throw new HandshakeError('upgraded to something else');
  if (headers['sec-websocket-accept'] !== acceptKeyFor(key)) throw new HandshakeError('the accept key is wrong');
  if (headers['sec-websocket-extensions'] !== undefined) throw new HandshakeError('an extension nobody asked for');
  const chosen = headers['sec-websocket-protocol'];
  if (chosen !== subprotocol) throw new HandshakeError(`the subprotocol ${subprotocol} was not agreed on`);
}

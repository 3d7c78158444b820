import type { Clock, MessageSocket } from '@drawbridge/link';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { acceptKeyFor } from '../request-upgrade.ts';
import { frameSocket } from './frame-socket.ts';

/** What is served on the connection. */
export interface AcceptOptions {
  readonly subprotocol: string;
  readonly maxPayloadBytes: number;
  readonly clock?: Clock | undefined;
}

/** The only version there is (RFC 6455 §4.1). */
const VERSION = '13';
/** Sixteen bytes in base64. */
const KEY = /^[+/0-9A-Za-z]{22}==$/;

/**
 * The server's half of the handshake of RFC 6455 §4.2, without extensions: answers 101 and returns the socket, or answers with
 * an error, ends the connection and returns undefined. For the `upgrade` event of an HTTP server, once the caller has decided
 * who may come in.
 */
export function acceptFrameSocket(
  request: IncomingMessage,
  connection: Duplex,
  head: Buffer,
  { subprotocol, maxPayloadBytes, clock }: AcceptOptions,
): MessageSocket | undefined {
  // What breaks before the socket listens itself closes the connection; that is seen there.
  connection.on('error', () => undefined);
  if (!connection.readable || !connection.writable) {
    connection.destroy();
    return undefined;
  }
  const refusal = refusalOf(request, subprotocol);
  if (refusal !== undefined) {
    refuse(connection, refusal);
    return undefined;
  }
  connection.write(
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      `Sec-WebSocket-Accept: ${acceptKeyFor(headerOf(request, 'sec-websocket-key'))}\r\n` +
      `Sec-WebSocket-Protocol: ${subprotocol}\r\n\r\n`,
  );
  return frameSocket(connection, { role: 'server', head, maxPayloadBytes, clock });
}

interface Refusal {
  readonly status: '400 Bad Request' | '405 Method Not Allowed' | '426 Upgrade Required';
  readonly reason: string;
  /** Whole lines. */
  readonly headers?: string;
}

function refusalOf(request: IncomingMessage, subprotocol: string): Refusal | undefined {
  if (request.method !== 'GET')
    return { status: '405 Method Not Allowed', reason: 'a WebSocket begins with GET', headers: 'Allow: GET\r\n' };
  if (headerOf(request, 'upgrade').toLowerCase() !== 'websocket')
    return { status: '400 Bad Request', reason: 'Upgrade is not websocket' };
  if (!KEY.test(headerOf(request, 'sec-websocket-key')))
    return { status: '400 Bad Request', reason: 'Sec-WebSocket-Key is missing or invalid' };
  if (headerOf(request, 'sec-websocket-version') !== VERSION)
    return {
      status: '426 Upgrade Required',
      reason: `Sec-WebSocket-Version is not ${VERSION}`,
      headers: `Upgrade: websocket\r\nSec-WebSocket-Version: ${VERSION}\r\n`,
    };
  const offered = headerOf(request, 'sec-websocket-protocol').split(',');
  if (!offered.some((name) => name.trim() === subprotocol))
    return { status: '400 Bad Request', reason: `Sec-WebSocket-Protocol does not offer ${subprotocol}` };
  return undefined;
}

function refuse(connection: Duplex, { status, reason, headers = '' }: Refusal): void {
  const body = `${reason}\n`;
  connection.once('finish', () => connection.destroy());
  connection.end(
    `HTTP/1.1 ${status}\r\nConnection: ${headers.includes('Upgrade') ? 'upgrade, close' : 'close'}\r\n${headers}` +
      `Content-Type: text/plain\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

function headerOf(request: IncomingMessage, name: string): string {
  const value = request.headers[name];
  return typeof value === 'string' ? value.trim() : '';
}

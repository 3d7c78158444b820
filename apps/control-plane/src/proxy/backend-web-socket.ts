import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import { ControlError } from '@drawbridge/protocol';
import { withDeadline, wsLimits } from '@drawbridge/runtime';
import type { Clock } from '@drawbridge/link';
import type { Backend, BackendConnections } from './backend-connections.ts';
import type { ChannelSocket } from './channel-socket.ts';
import { handshakeHeaders } from './header-rules.ts';
import { PROXY_LIMITS } from './limits.ts';
import type { WebSocketHandshake } from './web-socket-handshake.ts';

/** A service's end of a WebSocket; it is paused, so that nothing it says is lost. */
export interface BackendWebSocket {
  readonly ws: WebSocket;
  readonly socket: ChannelSocket;
  /** The subprotocol that the service has chosen, if any. */
  readonly subprotocol: string | undefined;
}

/** The service answered the handshake with something else than a WebSocket. */
export class HandshakeRefused extends Error {
  override readonly name = 'HandshakeRefused';
}

/** The bounds of either leg. Pongs are the answers of each leg's own end. */
export const LEG_OPTIONS = {
  ...wsLimits(PROXY_LIMITS.messageBytesMax),
  closeTimeout: PROXY_LIMITS.closeTimeoutMs,
} as const;

interface DialParts {
  readonly connections: BackendConnections;
  readonly clock: Clock;
}

/**
 * Shakes hands with a service for a client. Rejects with HandshakeRefused when it answers otherwise, and with ControlError when it cannot
 * be reached or does not answer in time.
 */
export async function dialWebSocket(
  { connections, clock }: DialParts,
  backend: Backend,
  handshake: WebSocketHandshake,
  signal: AbortSignal,
): Promise<BackendWebSocket> {
  const socket = await connections.connect(backend, signal);
  const timeoutMs = PROXY_LIMITS.handshakeTimeoutMs;
  const onTimeout = () => new ControlError('timed_out', `no handshake from port ${backend.port} in ${timeoutMs} ms`);
  try {
    return await withDeadline({ clock, timeoutMs, onTimeout }, signal, (limit) =>
      shakeHands(socket, backend, handshake, limit),
    );
  } catch (error) {
    // However far it came: nobody else has the connection.
    socket.destroy();
    throw error;
  }
}

function shakeHands(
  socket: ChannelSocket,
  backend: Backend,
  { target, rawHeaders, origin, subprotocols }: WebSocketHandshake,
  signal: AbortSignal,
): Promise<BackendWebSocket> {
  // `ws` would take a service that chooses none of them for broken; a browser does not.
  const offered = subprotocols.length === 0 ? {} : { 'Sec-WebSocket-Protocol': subprotocols.join(', ') };
  const ws = new WebSocket(`ws://127.0.0.1:${backend.port}/`, {
    ...LEG_OPTIONS,
    headers: { ...handshakeHeaders(rawHeaders, backend), ...offered },
    ...(origin === undefined ? {} : { origin }),
    createConnection: () => socket,
    finishRequest(request) {
      // Byte for byte: a URL would be tidied up.
      request.path = target;
      request.end();
    },
  });
  return new Promise((resolve, reject) => {
    let subprotocol: string | undefined;
    const aborted = () => ws.terminate();
    signal.addEventListener('abort', aborted, { once: true });
    ws.once('upgrade', (answer: IncomingMessage) => {
      subprotocol = answer.headers['sec-websocket-protocol'];
      // `ws` knows of no offer, and would refuse the choice.
      delete answer.headers['sec-websocket-protocol'];
    });
    ws.once('unexpected-response', (request, { statusCode }) => {
      request.destroy();
      reject(new HandshakeRefused(`the service answered with ${statusCode}`));
    });
    // Stays for good: how it ends is told by its close.
    ws.on('error', (cause) =>
      reject(
        new ControlError('target_unreachable', `no WebSocket on port ${backend.port}: ${cause.message}`, { cause }),
      ),
    );
    ws.once('open', () => {
      ws.pause();
      signal.removeEventListener('abort', aborted);
      if (subprotocol === undefined || subprotocols.includes(subprotocol)) resolve({ ws, socket, subprotocol });
      else {
        ws.terminate();
        reject(new ControlError('target_unreachable', `port ${backend.port} chose a subprotocol nobody offered`));
      }
    });
  });
}

import { systemClock } from '@drawbridge/link';
import type { Clock } from '@drawbridge/link';
import { ControlError, LIMITS } from '@drawbridge/protocol';
import type { DialTunnel } from './operator-tunnel.ts';
import { webSocket } from './web-socket.ts';
import type { WebSocketLike } from './web-socket.ts';

/** The platform's own WebSocket; only Node's takes headers. */
type MakeWebSocket = new (
  url: string,
  options: string | { readonly protocols: string; readonly headers: Readonly<Record<string, string>> },
) => WebSocketLike;

export interface WebSocketDialOptions {
  /** An API token, which only Node can send; a browser leaves it out and sends its cookie. */
  readonly token?: string | undefined;
  readonly clock?: Clock;
  /** For tests: stands in for the platform's. */
  readonly WebSocket?: MakeWebSocket;
}

/**
 * Dials with the WebSocket of the platform, a browser's or Node's. Rejects with ControlError `tunnel_unavailable`, or `signal.reason`; why
 * a connection failed, a browser does not tell.
 */
export function webSocketDial(options: WebSocketDialOptions = {}): DialTunnel {
  const { token, clock = systemClock } = options;
  return async (url, subprotocol, signal) => {
    signal.throwIfAborted();
    const WebSocket = options.WebSocket ?? platformWebSocket();
    const headers = token === undefined ? undefined : { authorization: `Bearer ${token}` };
    const ws = new WebSocket(url, headers === undefined ? subprotocol : { protocols: subprotocol, headers });
    ws.binaryType = 'arraybuffer';
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const fail = (why: string) => reject(new ControlError('tunnel_unavailable', `${hostOf(url)}: ${why}`));
    const aborted = () => reject(signal.reason);
    const timer = clock.after(LIMITS.dialTimeoutMs, () => fail(`no answer within ${LIMITS.dialTimeoutMs / 1000} s`));
    ws.addEventListener('open', () => resolve());
    ws.addEventListener('error', () => fail('no WebSocket could be opened'));
    ws.addEventListener('close', ({ code }) => fail(`closed with ${code} before it was open`));
    signal.addEventListener('abort', aborted, { once: true });
    // Made at once, so that what comes with the answer is not missed.
    const socket = webSocket(ws, clock);
    try {
      await promise;
      return socket;
    } catch (error) {
      ws.close();
      throw error;
    } finally {
      timer.cancel();
      signal.removeEventListener('abort', aborted);
    }
  };
}

function platformWebSocket(): MakeWebSocket {
  const found: unknown = Reflect.get(globalThis, 'WebSocket');
  if (typeof found !== 'function') throw new ControlError('unsupported', 'this platform has no WebSocket: give a dial');
  return found as MakeWebSocket;
}

function hostOf(url: string): string {
  return new URL(url).host;
}

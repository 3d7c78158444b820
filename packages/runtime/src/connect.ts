import type { Clock } from '@drawbridge/link';
import { connect as connectNet } from 'node:net';
import type { Duplex } from 'node:stream';
import { connectThroughProxy } from './connect-through-proxy.ts';
import { DialError, toDialError } from './dial-error.ts';
import { withDeadline } from './deadline.ts';
import { type ProxyChoice, hostOf, isSecure, portOf, proxyFor } from './proxy.ts';
import { type TlsIdentity, startTls } from './tls.ts';

/** How to reach a host: by which proxy, trusting whom, in which time. */
export interface ConnectOptions extends ProxyChoice {
  readonly tls?: TlsIdentity | undefined;
  /** For everything together: DNS, TCP, proxy, TLS, and the answer to the request. */
  readonly timeoutMs: number;
  readonly clock: Clock;
}

/**
 * Connects to the host of `url` and lets `use` talk on the connection, all within the time limit. Whatever goes wrong is a
 * DialError, or `signal.reason`, and the connection is gone. When `use` succeeds the connection is the caller's.
 */
export function withConnection<T>(
  url: URL,
  options: ConnectOptions,
  signal: AbortSignal,
  use: (socket: Duplex, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  // Neither user, password, path nor query: only this may appear in an error.
  const target = `${url.protocol}//${url.host}`;
  const { clock, timeoutMs } = options;
  const onTimeout = () => new DialError('timeout', `${target}: no answer within ${timeoutMs} ms`);
  return withDeadline({ clock, timeoutMs, onTimeout }, signal, async (limit) => {
    let socket: Duplex | undefined;
    try {
      socket = await open(url, options, limit);
      limit.throwIfAborted();
      return await use(socket, limit);
    } catch (error) {
      socket?.destroy();
      throw toDialError(error, target);
    }
  });
}

/** Names are looked up here, so at each attempt anew. */
async function open(url: URL, options: ConnectOptions, signal: AbortSignal): Promise<Duplex> {
  const proxy = proxyFor(url, options);
  const transport =
    proxy === undefined
      ? await connectDirectly(url, signal)
      : await connectThroughProxy(proxy, url, options.clock, signal);
  signal.throwIfAborted();
  return isSecure(url) ? startTls(transport, hostOf(url), options.tls ?? {}, signal) : transport;
}

function connectDirectly(url: URL, signal: AbortSignal): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket = connectNet({ host: hostOf(url), port: portOf(url), noDelay: true });
    const aborted = () => socket.destroy(new Error('aborted', { cause: signal.reason }));
    signal.addEventListener('abort', aborted, { once: true });
    // Stays for good: a socket nobody reads yet must not take the process down.
    socket.on('error', reject);
    socket.once('close', () => signal.removeEventListener('abort', aborted));
    socket.once('connect', () => {
      signal.removeEventListener('abort', aborted);
      resolve(socket);
    });
  });
}

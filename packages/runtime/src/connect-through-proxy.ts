import type { ClientRequest, IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Duplex } from 'node:stream';
import type { Clock } from '@drawbridge/link';
import { DialError, retryAfterMs } from './dial-error.ts';
import { httpRequest } from './http-request.ts';
import { hostOf, portOf } from './proxy.ts';

/**
 * A connection to the host of `url` made by an HTTP proxy (CONNECT, RFC 9110 §9.3.6), for encrypted and plain targets alike.
 * Credentials are taken from the proxy's URL and appear in no error.
 */
export async function connectThroughProxy(proxy: string, url: URL, clock: Clock, signal: AbortSignal): Promise<Duplex> {
  const via = parseProxy(proxy);
  const path = `${url.hostname}:${portOf(url)}`;
  const request = (via.protocol === 'https:' ? httpsRequest : httpRequest)({
    host: hostOf(via),
    port: portOf(via),
    method: 'CONNECT',
    path,
    headers: { host: path, ...credentialsOf(via) },
    agent: false,
    signal,
  });
  request.end();
  const name = `proxy ${via.host}`;
  const [response, socket] = await answerOf(request, name);
  const status = response.statusCode ?? 0;
  if (status < 200 || status > 299) {
    socket.destroy();
    throw new DialError('proxy', `${name} answered ${status} to CONNECT ${path}`, {
      retryAfterMs: retryAfterMs(response.headers['retry-after'], clock.now()),
    });
  }
  return socket;
}

/** Bytes right behind the answer are nobody's: in TLS and HTTP alike the one who dials speaks first. */
async function answerOf(request: ClientRequest, name: string): Promise<[response: IncomingMessage, socket: Duplex]> {
  try {
    return await new Promise((resolve, reject) => {
      request.on('connect', (response, socket) => resolve([response, socket]));
      request.on('error', reject);
    });
  } catch (error) {
    throw new DialError('proxy', `${name}: ${error instanceof Error ? error.message : 'failed'}`, { cause: error });
  }
}

function parseProxy(proxy: string): URL {
  // The text may hold a password: it is not repeated.
  const via = URL.parse(proxy.includes('://') ? proxy : `http://${proxy}`);
  if (via === null || !['http:', 'https:'].includes(via.protocol)) {
    throw new DialError('proxy', 'the proxy is not an http:// or https:// URL');
  }
  return via;
}

function credentialsOf({ username, password }: URL): Record<string, string> {
  if (username === '' && password === '') return {};
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { 'proxy-authorization': `Basic ${Buffer.from(pair).toString('base64')}` };
}

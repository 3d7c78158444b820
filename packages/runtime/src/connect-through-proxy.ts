import { type IncomingMessage, request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Duplex } from 'node:stream';
import type { Clock } from '@drawbridge/link';
import { DialError, retryAfterMs } from './dial-error.ts';
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
  const [response, socket, head] = await answerOf(request, name, signal);
  const status = response.statusCode ?? 0;
  if (status < 200 || status > 299) {
    socket.destroy();
    throw new DialError('proxy', `${name} answered ${status} to CONNECT ${path}`, {
      retryAfterMs: retryAfterMs(response.headers['retry-after'], clock.now()),
    });
  }
  if (head.byteLength > 0) socket.unshift(head);
  return socket;
}

type Answer = [response: IncomingMessage, socket: Duplex, head: Buffer];

async function answerOf(request: ReturnType<typeof httpRequest>, name: string, signal: AbortSignal): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  request.on('connect', (...answer: Answer) => resolve(answer));
  request.on('error', reject);
  // Not an answer to CONNECT at all: some servers treat it like a GET.
  request.on('response', (response) => {
    response.destroy();
    reject(new Error(`status ${response.statusCode}`));
  });
  try {
    return await promise;
  } catch (error) {
    request.destroy();
    signal.throwIfAborted();
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

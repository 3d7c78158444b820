import { type Clock, systemClock } from '@drawbridge/link';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type ConnectOptions, withConnection } from './connect.ts';
import { DialError, retryAfterMs } from './dial-error.ts';
import { httpRequest } from './http-request.ts';
import { parseUrl } from './parse-url.ts';

/** One request, and how to reach who answers it. */
export interface FetchJsonOptions extends Omit<ConnectOptions, 'clock'> {
  /** http: or https:. */
  readonly url: string;
  /** GET, unless there is a body: then POST. */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly bodyBytesMax?: number;
  readonly clock?: Clock;
}

/** What came back, whatever its status. */
export interface JsonAnswer {
  readonly status: number;
  /** Not parsed by any schema yet; undefined when the answer had no body. */
  readonly body: unknown;
  readonly retryAfterMs: number | undefined;
}

const BODY_BYTES_MAX = 1024 * 1024;

/**
 * One JSON request under the same rules as a dial: TLS, pin, proxy, one time limit. Rejects with a DialError, or with
 * `signal.reason`; an answer that is too long or no JSON is a DialError too. Redirects are not followed.
 */
export function fetchJson(options: FetchJsonOptions, signal: AbortSignal): Promise<JsonAnswer> {
  const { clock = systemClock } = options;
  const url = parseUrl(options.url);
  return withConnection(url, { ...options, clock }, signal, async (socket, limit) => {
    const response = await send(url, socket, options, limit);
    return {
      status: response.statusCode ?? 0,
      body: parseJson(await readAll(response, options.bodyBytesMax ?? BODY_BYTES_MAX), url, response.statusCode ?? 0),
      retryAfterMs: retryAfterMs(response.headers['retry-after'], clock.now()),
    };
  });
}

function send(url: URL, socket: Duplex, options: FetchJsonOptions, signal: AbortSignal): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const body = options.body === undefined ? undefined : JSON.stringify(options.body);
  const outgoing = httpRequest({
    method: options.method ?? (body === undefined ? 'GET' : 'POST'),
    path: `${url.pathname}${url.search}`,
    headers: {
      host: url.host,
      accept: 'application/json',
      connection: 'close',
      ...(body !== undefined && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
      ...options.headers,
    },
    createConnection: () => socket,
    signal,
  });
  outgoing.on('response', resolve);
  outgoing.on('error', reject);
  outgoing.end(body);
  return promise;
}

async function readAll(response: IncomingMessage, bytesMax: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response) {
    if (!Buffer.isBuffer(chunk)) throw new TypeError('a response without an encoding has Buffers');
    bytes += chunk.byteLength;
    if (bytes > bytesMax) throw new DialError('http', `the answer has more than ${bytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function parseJson(text: string, url: URL, httpStatus: number): unknown {
  if (text === '') return undefined;
  try {
    const body: unknown = JSON.parse(text);
    return body;
  } catch (cause) {
    throw new DialError('http', `${url.host} answered ${httpStatus} and no JSON`, { httpStatus, cause });
  }
}

import type { ClientRequest, IncomingMessage, RequestOptions } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { systemClock } from '@drawbridge/link/clock';
import { isLoopbackHost } from '@drawbridge/runtime/proxy';
import type { FetchLike, ResponseLike } from '@drawbridge/client';

export interface HttpFetchOptions {
  /** PEM of the authority to trust instead of the system's. */
  readonly ca?: string | undefined;
  /** Where HTTPS_PROXY, HTTP_PROXY and NO_PROXY are looked up. */
  readonly env: NodeJS.ProcessEnv;
}

/** A host that does not answer at all is given up after this long. */
const CONNECT_MS = 15_000;

/**
 * `fetch` for a command that lives for a moment: it needs neither undici nor its time to load. It follows no redirect, so that a
 * token goes to the host it is for. An answer may be silent for hours: whoever reads it decides how long to wait.
 */
export function httpFetch(connection: HttpFetchOptions): FetchLike {
  let open: Open | undefined;
  return async (url, { method, headers, body, signal }) => {
    const target = new URL(url);
    open ??= openerFor(target, connection);
    const request = open(target, { method, headers: { ...headers }, ...(signal === undefined ? {} : { signal }) });
    request.end(body);
    return responseOf(await answerOf(request));
  };
}

type Open = (target: URL, options: RequestOptions) => ClientRequest;

/** All requests go to one control plane, and share its connections. */
function openerFor({ protocol, hostname }: URL, { ca, env }: HttpFetchOptions): Open {
  const options = { keepAlive: true, proxyEnv: isLoopbackHost(hostname) ? {} : env };
  // Not by an import: it would evaluate all of node:http, and with its WebSocket load the whole of undici.
  if (protocol === 'http:') {
    const { Agent, request } = process.getBuiltinModule('node:http');
    const agent = new Agent(options);
    return (target, wanted) => request(target, { ...wanted, agent });
  }
  const { Agent, request } = process.getBuiltinModule('node:https');
  const agent = new Agent({ ...options, ...(ca === undefined ? {} : { ca }) });
  return (target, wanted) => request(target, { ...wanted, agent });
}

async function answerOf(request: ClientRequest): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  request.once('response', resolve);
  // Stays for good: what breaks after the answer is the body's to tell.
  request.on('error', reject);
  const tooLate = () => request.destroy(new Error(`no connection within ${CONNECT_MS / 1000} s`));
  const timer = systemClock.after(CONNECT_MS, tooLate);
  request.once('socket', (socket) => {
    if (!socket.connecting) timer.cancel();
    socket.once('encrypted' in socket ? 'secureConnect' : 'connect', () => timer.cancel());
  });
  try {
    return await promise;
  } finally {
    timer.cancel();
  }
}

function responseOf(message: IncomingMessage): ResponseLike {
  const status = message.statusCode ?? 0;
  if (status >= 300 && status < 400) {
    message.resume();
    throw new Error(`it sends us on to ${message.headers.location ?? 'nowhere'}: use that address`);
  }
  return {
    status,
    headers: { get: (name) => [message.headers[name.toLowerCase()] ?? null].flat()[0] ?? null },
    body: message,
    text: async () => (await buffer(message)).toString(),
  };
}

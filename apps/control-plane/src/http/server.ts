import { createServer as createHttpServer } from 'node:http';
import type { IncomingMessage, RequestListener, Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { Logger } from '@drawbridge/runtime';
import type { ServerConfig } from '../config.ts';
import { addressList } from '../edge/address-list.ts';
import { askToContinue } from '../proxy/ask-to-continue.ts';
import { limitConnections } from './connection-limits.ts';
import { readServerTls } from './server-tls.ts';
import type { ServerTls } from './server-tls.ts';

/** How long and how large what a client sends may be before anybody looks at it. */
const HTTP_LIMITS = {
  /** From the connection, or the last answer, to the end of the headers; then 408. */
  headersTimeout: 10_000,
  /** To the end of the body. */
  requestTimeout: 30_000,
  /** An idle connection stays this long: longer than proxies keep theirs, so that they hang up first. */
  keepAliveTimeout: 72_000,
  /** How often the two above are looked at: a late client is cut this much later at most. */
  connectionsCheckingInterval: 2_000,
  maxHeaderSize: 16 * 1024,
  /** Another protocol than WebSocket is spoken by nobody here: the request is served as if it had not asked (RFC 9110 §7.8). */
  shouldUpgradeCallback: ({ headers }: IncomingMessage) => headers.upgrade?.toLowerCase() === 'websocket',
} as const;
const HEADERS_MAX = 100;
/** A connection is made anew after so many: agents of a balanced service spread again. */
const REQUESTS_PER_CONNECTION_MAX = 10_000;
const TLS_HANDSHAKE_TIMEOUT_MS = 10_000;
/** A flood is one line in so many dropped connections. */
const DROPPED_A_LINE = 1_000;

/** The HTTP or HTTPS server with its bounds, not listening yet. `config.ts` refuses plain HTTP beyond loopback and proxies. */
export function makeServer(
  { listen, limits }: Pick<ServerConfig, 'listen' | 'limits'>,
  log: Logger,
  handler: RequestListener,
  /** The certificate to show instead of the one that the files hold now. */
  shown?: ServerTls,
): Server {
  const { tls } = listen;
  const server =
    tls === undefined ? createHttpServer(HTTP_LIMITS, handler) : httpsServer(tls, shown ?? readServerTls(tls), handler);
  server.maxHeadersCount = HEADERS_MAX;
  server.maxRequestsPerSocket = REQUESTS_PER_CONNECTION_MAX;
  askToContinue(server);
  let dropped = 0;
  limitConnections(server, {
    connectionsMax: limits.connections,
    perAddressMax: limits.connections_per_address,
    isExempt: addressList('listen.trusted_proxies', listen.trusted_proxies),
    onDropped(address) {
      if (dropped % DROPPED_A_LINE === 0) log.warn({ address, dropped: dropped + 1 }, 'too many connections');
      dropped += 1;
    },
  });
  return server;
}

function httpsServer(
  tls: NonNullable<ServerConfig['listen']['tls']>,
  { context }: ServerTls,
  handler: RequestListener,
): Server {
  const options = {
    ...HTTP_LIMITS,
    ...context,
    handshakeTimeout: TLS_HANDSHAKE_TIMEOUT_MS,
    requestCert: tls.client_auth !== 'off',
    // With `request` a bad certificate is refused by edge.ts, in words.
    rejectUnauthorized: tls.client_auth === 'require',
  } as const;
  return createHttpsServer(options, handler);
}

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ControlError } from '@drawbridge/protocol';
import type { Logger, Secret } from '@drawbridge/runtime';
import type { Registry } from 'prom-client';
import { bearerOf } from '../edge/headers.ts';

/** A scraper needs one connection; more than these are not accepted. */
const CONNECTIONS_MAX = 16;
const REQUEST_TIMEOUT_MS = 10_000;

export interface MetricsListenerOptions {
  readonly host: string;
  readonly port: number;
  readonly token: Secret | undefined;
  readonly registry: Registry;
  readonly log: Logger;
}

/** Serves `GET /metrics`, and nothing else, on a listener of its own. Rejects with `conflict` when it cannot listen there. */
export async function listenForMetrics(options: MetricsListenerOptions): Promise<AsyncDisposable> {
  const { host, port, log } = options;
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    answer(options, request, response).catch((error: unknown) => {
      log.error({ err: error }, 'metrics not served');
      response.destroy();
    });
  });
  server.maxConnections = CONNECTIONS_MAX;
  server.listen({ host, port });
  await once(server, 'listening').catch((cause: unknown) => {
    throw new ControlError('conflict', `metrics.listen: cannot listen on ${host}:${port}`, { cause });
  });
  const address = server.address();
  log.info({ host, port: typeof address === 'object' ? address?.port : port }, 'metrics are served');
  return {
    async [Symbol.asyncDispose]() {
      if (!server.listening) return;
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function answer(
  { token, registry }: MetricsListenerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { method, url } = request;
  if (token?.equals(bearerOf(request) ?? '') === false) {
    response.writeHead(401, { 'www-authenticate': 'Bearer' }).end();
  } else if (url !== '/metrics') response.writeHead(404).end();
  else if (method !== 'GET') response.writeHead(405, { allow: 'GET' }).end();
  else response.writeHead(200, { 'content-type': registry.contentType }).end(await registry.metrics());
}

import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import type { RequestListener, Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import cookie from '@fastify/cookie';
import rateLimit from '@fastify/rate-limit';
import fastify, { LogController } from 'fastify';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';

import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import type { Logger } from '@drawbridge/runtime';
import type { ServerConfig } from '../config.ts';
import type { ApiTokens } from '../operators/api-tokens.ts';
import type { SignIn } from '../operators/sign-in.ts';
import { authenticator } from './authenticate.ts';
import { installErrorHandler } from './error-handler.ts';

const BODY_BYTES_MAX = 262_144;
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;

/** What every answer carries; the built-in page needs nothing beyond its own origin. */
const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'cache-control': 'no-store',
} as const;

export interface AppOptions {
  readonly config: ServerConfig;
  readonly log: Logger;
  readonly tokens: ApiTokens;
  readonly signIn: SignIn;
  /** Routes under /api/v1. */
  readonly api: readonly FastifyPluginCallbackZod[];
  /** Routes at the root. */
  readonly root: readonly FastifyPluginCallbackZod[];
}

/** The HTTP server: its bounds, its headers, who asks, and how errors look. Routes are given. */
export async function buildApp({ config, log, tokens, signIn, api, root }: AppOptions): Promise<FastifyInstance> {
  const logger: FastifyBaseLogger = log;
  const app: FastifyInstance = fastify({
    serverFactory: (handler) => makeServer(config, handler),
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: REQUEST_TIMEOUT_MS,
    forceCloseConnections: true,
    trustProxy: config.listen.trusted_proxies.length > 0 ? [...config.listen.trusted_proxies] : false,
    genReqId: (request) => {
      const given = request.headers['x-request-id'];
      return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
    },
    routerOptions: { maxParamLength: 128 },
  });
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  installErrorHandler(app);
  app.decorateRequest('actor', undefined);
  await app.register(cookie);
  await app.register(rateLimit, { global: false });
  app.addHook('onRequest', authenticator(tokens, signIn, config.listen.tls !== undefined));
  app.addHook('onSend', async (request, reply) => {
    reply.headers({ ...HEADERS, 'x-request-id': request.id });
  });
  await app.register(
    (scope, _options, done) => {
      for (const routes of api) scope.register(routes);
      done();
    },
    { prefix: '/api/v1' },
  );
  for (const routes of root) await app.register(routes);
  return app;
}

/** HTTP on loopback or behind a proxy, HTTPS otherwise: `config.ts` refuses anything else. */
function makeServer({ listen: { tls } }: ServerConfig, handler: RequestListener): Server {
  const limits = { headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS } as const;
  if (tls === undefined) return createHttpServer(limits, handler);
  return createHttpsServer(
    {
      ...limits,
      cert: readFileSync(tls.cert),
      key: readFileSync(tls.key),
      ...(tls.ca === undefined ? {} : { ca: readFileSync(tls.ca) }),
      requestCert: tls.client_auth !== 'off',
      rejectUnauthorized: tls.client_auth === 'require',
      minVersion: 'TLSv1.2',
    },
    handler,
  );
}

import { randomUUID } from 'node:crypto';
import cookie from '@fastify/cookie';
import fastify, { LogController } from 'fastify';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import { validatorCompiler } from 'fastify-type-provider-zod';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import type { Logger } from '@drawbridge/runtime';
import type { ServerConfig } from '../config.ts';
import type { Edge } from '../edge/edge.ts';
import type { TokenBuckets } from '../limits/token-buckets.ts';
import type { Principals } from '../operators/principals.ts';
import { routedUrl } from '../proxy/sandbox-path.ts';
import { authenticator, reauthenticator } from './authenticate.ts';
import { answerClientError } from './client-error.ts';
import { edgeHook } from './edge-hook.ts';
import { installErrorHandler } from './error-handler.ts';
import { guardAnswers } from './permit.ts';
import type { Recorder } from './permit.ts';
import { answerText } from './prepared-answer.ts';
import { securityHeaders } from './security-headers.ts';
import { makeServer } from './server.ts';

const BODY_BYTES_MAX = 262_144;
const REQUEST_TIMEOUT_MS = 30_000;
const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;

export interface AppOptions {
  readonly config: ServerConfig;
  readonly log: Logger;
  readonly principals: Pick<Principals, 'bySecret' | 'refresh'>;
  readonly edge: Edge;
  /** Requests of one account or token. */
  readonly requests: TokenBuckets;
  readonly audit: Recorder;
  /** What sees every route and request: metrics, documentation. */
  readonly observers?: readonly ((app: FastifyInstance) => void | Promise<void>)[];
  /** Routes under /api/v1. */
  readonly api: readonly FastifyPluginCallbackZod[];
  /** Routes at the root. */
  readonly root: readonly FastifyPluginCallbackZod[];
}

/** The HTTP server: its bounds, its headers, who asks, what is recorded, and how errors look. Routes are given. */
export async function buildApp(options: AppOptions): Promise<FastifyInstance> {
  const { config, edge, api, root } = options;
  const logger: FastifyBaseLogger = options.log;
  const app: FastifyInstance = fastify({
    serverFactory: (handler) => makeServer(config, options.log, handler),
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: REQUEST_TIMEOUT_MS,
    forceCloseConnections: true,
    clientErrorHandler: answerClientError,
    trustProxy: config.listen.trusted_proxies.length > 0 ? [...config.listen.trusted_proxies] : false,
    genReqId: (request) => {
      const given = request.headers['x-request-id'];
      return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
    },
    rewriteUrl: routedUrl,
    routerOptions: { maxParamLength: 128 },
  });
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(() => answerText);
  installErrorHandler(app);
  app.decorateRequest('caller', undefined);
  app.decorateRequest('actor', undefined);
  app.decorateRequest('credential', undefined);
  await app.register(cookie);
  // Before what answers a repetition, and once more below: after whatever has made the request wait.
  const reauthenticate = reauthenticator(options);
  app.addHook('preValidation', reauthenticate);
  for (const observe of options.observers ?? []) await observe(app);
  app.addHook('onRequest', edgeHook(edge));
  app.addHook('onRequest', authenticator(options));
  app.addHook('preHandler', reauthenticate);
  guardAnswers(app, options.audit);
  app.addHook('onSend', securityHeaders);
  await app.register(
    (scope, _options, done) => {
      for (const routes of api) scope.register(routes);
      done();
    },
    { prefix: '/api/v1' },
  );
  for (const routes of root) await app.register(routes);
  await app.ready();
  return app;
}

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '@drawbridge/link';
import { ControlError, Traceparent } from '@drawbridge/protocol';
import type { Metrics } from '../observability/metrics.ts';
import { inRequest } from '../observability/request-context.ts';
import type { OpenSpan, SpanMaker } from '../observability/spans.ts';
import { actorText } from '../operators/actor.ts';

export interface ObserverOptions {
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** Undefined when nothing is traced. */
  readonly spans: SpanMaker | undefined;
}

const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Counts every request, writes one line about it, and makes it known to what it causes. Lines hold the pattern of the route,
 * never the path: no query, no body, no credential.
 */
export function observeRequests(app: FastifyInstance, { metrics, clock, spans }: ObserverOptions): void {
  const open = new WeakMap<FastifyRequest, OpenSpan>();

  // The last hook before the handler: the actor is known, and nothing that breaks the context, as reading the body, follows.
  app.addHook('preHandler', (request, reply, done) => {
    const given = Traceparent.safeParse(request.headers['traceparent']).data;
    const startMs = clock.now() - reply.elapsedTime;
    const span = isTraced(request)
      ? spans?.start({ name: nameOf(request), kind: 'server', startMs, parent: given, facts: factsOf(request) })
      : undefined;
    if (span !== undefined) open.set(request, span);
    inRequest({ requestId: request.id, traceparent: span?.traceparent ?? given }, done);
  });

  app.addHook('onError', (_request, reply, error, done) => {
    const code = codeOf(error, reply);
    if (code !== undefined) metrics.refusals.refused('api', code);
    done();
  });

  app.addHook('onResponse', (request, reply, done) => {
    const { method } = request;
    const { statusCode: status, elapsedTime: ms } = reply;
    const route = request.routeOptions.url;
    metrics.http.answered({ method, route, status, seconds: ms / 1000 });
    const actor = request.actor === undefined ? undefined : actorText(request.actor);
    const line = { method, route, status, ms: Math.round(ms), actor };
    if (SAFE_METHODS.has(method) && status < 400) request.log.debug(line, 'request answered');
    else request.log.info(line, 'request answered');
    const facts = { 'http.response.status_code': status };
    open.get(request)?.end(clock.now(), { isFailure: status >= 500, facts });
    done();
  });
}

/** What a supervisor asks every few seconds would only hide the rest. */
function isTraced({ routeOptions }: FastifyRequest): boolean {
  return routeOptions.url?.startsWith('/api/') === true;
}

function nameOf({ method, routeOptions }: FastifyRequest): string {
  return `${method} ${routeOptions.url ?? ''}`;
}

function factsOf({ id, method, routeOptions }: FastifyRequest) {
  return { 'http.request.method': method, 'http.route': routeOptions.url ?? '', 'drawbridge.request_id': id };
}

/** Fastify's own refusals have no code of ours; only the one that limits requests is of interest here. */
function codeOf(error: Error, reply: FastifyReply): string | undefined {
  if (error instanceof ControlError) return error.code;
  const status = 'statusCode' in error ? error.statusCode : reply.statusCode;
  return status === 429 ? 'rate_limited' : undefined;
}

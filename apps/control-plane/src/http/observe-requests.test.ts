import { systemClock } from '@drawbridge/link';
import { ControlError } from '@drawbridge/protocol';
import { memoryLog } from '@drawbridge/runtime/testing';
import fastify, { LogController } from 'fastify';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Metrics } from '../observability/metrics.ts';
import { seriesOf } from '../observability/observability-fixture.ts';
import { currentRequest } from '../observability/request-context.ts';
import { installErrorHandler } from './error-handler.ts';
import { observeRequests } from './observe-requests.ts';

const TRACEPARENT = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;

let app: FastifyInstance;
let metrics: Metrics;
let lines: Record<string, unknown>[];
beforeEach(() => {
  const memory = memoryLog();
  const loggerInstance: FastifyBaseLogger = memory.log;
  ({ lines } = memory);
  metrics = new Metrics();
  const logController = new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' });
  app = fastify({ loggerInstance, logController, genReqId: () => 'r1' });
  app.decorateRequest('actor', undefined);
  installErrorHandler(app);
  observeRequests(app, { metrics, clock: systemClock, spans: undefined });
  app.all('/agents/:id', async (request) => {
    request.log.info('inside');
    await Promise.resolve();
    return currentRequest() ?? {};
  });
  app.get('/refused', () => {
    throw new ControlError('rate_limited', 'too many');
  });
  app.get('/broken', () => {
    throw new Error('a bug');
  });
});
afterEach(() => app.close());

it('counts by the pattern of the route and the class of the status, never by the path', async () => {
  await app.inject({ method: 'GET', url: '/agents/secret-name?token=hidden' });
  await app.inject({ method: 'GET', url: '/nowhere/secret-name' });
  const series = [...(await seriesOf(metrics.registry))].filter(([name]) =>
    name.startsWith('drawbridge_http_requests'),
  );
  expect(series).toEqual([
    ['drawbridge_http_requests_total{method="GET",route="/agents/:id",status="2xx"}', 1],
    ['drawbridge_http_requests_total{method="GET",route="none",status="4xx"}', 1],
  ]);
});

it('writes one line for each request: what changes something, or fails, stands out', async () => {
  await app.inject({ method: 'GET', url: '/agents/secret-name?token=hidden' });
  await app.inject({ method: 'POST', url: '/agents/secret-name', body: { password: 'hidden' } });
  await app.inject({ method: 'GET', url: '/broken' });
  const answered = lines.filter(({ msg }) => msg === 'request answered');
  expect(answered).toMatchObject([
    { level: 'debug', method: 'GET', route: '/agents/:id', status: 200, requestId: 'r1' },
    { level: 'info', method: 'POST', route: '/agents/:id', status: 200, requestId: 'r1' },
    { level: 'info', method: 'GET', route: '/broken', status: 500, requestId: 'r1' },
  ]);
  expect(JSON.stringify(lines)).not.toMatch(/hidden|secret-name/);
});

it('gives every line about a request its id', async () => {
  await app.inject({ method: 'GET', url: '/agents/a' });
  await app.inject({ method: 'GET', url: '/broken' });
  expect(lines.map(({ msg }) => msg)).toEqual(expect.arrayContaining(['inside', 'request failed']));
  expect(lines.filter(({ requestId }) => requestId !== 'r1')).toEqual([]);
});

it('counts refusals by their code', async () => {
  await app.inject({ method: 'GET', url: '/refused' });
  await app.inject({ method: 'GET', url: '/broken' });
  const series = await seriesOf(metrics.registry);
  expect(series.get('drawbridge_refusals_total{door="api",code="rate_limited"}')).toBe(1);
  expect([...series].filter(([name, value]) => name.includes('refusals') && value > 0)).toHaveLength(1);
});

it('lets a handler know its request, after a body was read too, and takes the trace of a well-formed header alone', async () => {
  const ask = async (traceparent: string) => {
    const request = { method: 'POST', url: '/agents/a', headers: { traceparent }, body: { some: 'body' } } as const;
    return (await app.inject(request)).json<unknown>();
  };
  expect(await ask(TRACEPARENT)).toEqual({ requestId: 'r1', traceparent: TRACEPARENT });
  expect(await ask('00-garbage')).toEqual({ requestId: 'r1' });
  expect(currentRequest()).toBeUndefined();
});

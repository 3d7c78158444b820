import { Secret } from '@drawbridge/runtime';
import fastify from 'fastify';
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Actor } from '../operators/actor.ts';
import { Metrics } from '../observability/metrics.ts';
import { installErrorHandler } from './error-handler.ts';
import { mayReadMetrics } from './may-read-metrics.ts';
import { healthRoutes } from './routes/health.ts';

const NOBODY: Actor = { kind: 'token', id: 't1', name: 'nobody', userId: undefined, grants: [] };
const READER: Actor = { ...NOBODY, name: 'reader', grants: [{ verbs: new Set(['metrics.read']), selector: [] }] };

const READY = { isReady: true, checks: { store: 'ok', migrations: 'ok', draining: false } } as const;

let app: FastifyInstance;
let readiness: Parameters<typeof healthRoutes>[0]['readiness'];
beforeEach(async () => {
  readiness = async () => READY;
  app = fastify();
  app.setSerializerCompiler(() => (answer) => JSON.stringify(answer));
  app.decorateRequest('actor', undefined);
  app.decorateRequest('decision', undefined);
  installErrorHandler(app);
  const principals = { bySecret: async (secret: string) => ({ nobody: NOBODY, reader: READER })[secret] };
  const mayRead = mayReadMetrics({ token: new Secret('scraper'), principals });
  await app.register(
    healthRoutes({ readiness: () => readiness(), metrics: { registry: new Metrics().registry, mayRead } }),
  );
});
afterEach(() => app.close());

async function read(remoteAddress: string, headers: Record<string, string> = {}): Promise<number> {
  return (await app.inject({ url: '/metrics', remoteAddress, headers })).statusCode;
}

it.each(['127.0.0.1', '127.8.9.1', '::1', '::ffff:127.0.0.1'])(
  'shows the numbers to this machine (%s)',
  async (address) => {
    expect(await read(address)).toBe(200);
  },
);

it.each(['10.0.0.1', '::ffff:10.0.0.1', '1127.0.0.1', 'localhost'])('asks %s to sign in', async (address) => {
  expect(await read(address)).toBe(401);
});

it.each(['forwarded', 'via', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip'])(
  'takes what a proxy forwards, by its %s, for somebody else',
  async (header) => {
    expect(await read('127.0.0.1', { [header]: '127.0.0.1' })).toBe(401);
  },
);

it.each([
  ['the token of the configuration', 'scraper', 200],
  ['an API token with the right', 'reader', 200],
  ['an API token without it', 'nobody', 403],
  ['a token of nobody', 'made-up', 401],
])('answers whoever brings %s', async (_name, token, status) => {
  expect(await read('10.0.0.1', { authorization: `Bearer ${token}` })).toBe(status);
});

it('says what was looked at before it says that it is ready', async () => {
  const answer = await app.inject({ url: '/readyz' });
  expect(answer.json()).toEqual({ status: 'ready', checks: READY.checks });
});

it.each([
  [{ store: 'failed', migrations: 'unknown', draining: false } as const, 'store_unavailable'],
  [{ store: 'ok', migrations: 'ok', draining: true } as const, 'server_draining'],
])('answers 503 with the check that failed: %j', async (checks, code) => {
  readiness = async () => ({ isReady: false, checks });
  const answer = await app.inject({ url: '/readyz' });
  expect(answer.statusCode).toBe(503);
  expect(answer.json()).toMatchObject({ code, details: { checks } });
});

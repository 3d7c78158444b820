import fastify from 'fastify';
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { contentSecurityPolicy, securityHeaders } from './security-headers.ts';

let app: FastifyInstance;
beforeEach(() => {
  app = fastify({ trustProxy: ['10.0.0.1'] });
  app.addHook('onSend', securityHeaders);
  app.get('/', () => ({ ok: true }));
  app.get('/page', (_request, reply) =>
    reply.header('content-security-policy', contentSecurityPolicy('abc')).type('text/html').send('<p>'),
  );
  app.get('/bug', () => Promise.reject(new Error('bug')));
});
afterEach(() => app.close());

it.each(['/', '/bug', '/nowhere'])('puts every header on the answer of %s', async (url) => {
  const { headers } = await app.inject(url);
  expect(headers).toMatchObject({
    'cache-control': 'no-store',
    'content-security-policy': expect.stringContaining("frame-ancestors 'none'"),
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'permissions-policy': expect.stringContaining('camera=()'),
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'x-request-id': expect.stringMatching(/./),
  });
  expect(Object.keys(headers)).not.toEqual(expect.arrayContaining(['server']));
  expect(Object.keys(headers)).not.toEqual(expect.arrayContaining(['x-powered-by']));
});

it('leaves a page its own policy', async () => {
  const { headers } = await app.inject('/page');
  expect(headers['content-security-policy']).toContain("script-src 'self' 'nonce-abc'");
});

it('runs nothing inline without a nonce', () => {
  expect(contentSecurityPolicy()).not.toMatch(/nonce|unsafe/);
});

it.each([
  ['https by a proxy of ours', '10.0.0.1', true],
  ['what somebody else calls https', '198.51.100.7', false],
])('wants TLS from now on after %s', async (_what, remoteAddress, expected) => {
  const { headers } = await app.inject({ url: '/', remoteAddress, headers: { 'x-forwarded-proto': 'https' } });
  expect(headers['strict-transport-security'] !== undefined).toBe(expected);
});

import { ControlError } from '@drawbridge/protocol';
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { loadServerConfig } from '../config.ts';
import { ControlPlaneFixture } from '../control-plane-fixture.ts';
import { ApiTokens } from '../operators/api-tokens.ts';
import { SignIn } from '../operators/sign-in.ts';
import { buildApp } from './app.ts';
import { actorOf } from './authenticate.ts';

let control: ControlPlaneFixture;
let app: FastifyInstance;
let token: string;
let session: string;
beforeEach(async () => {
  control = await ControlPlaneFixture.make();
  const { db, log } = control.parts;
  const tokens = new ApiTokens(db, control.clock);
  const signIn = new SignIn(db, control.clock);
  token = await tokens.issue('test');
  session = (await signIn.redeem(signIn.issueCode())) ?? '';
  app = await buildApp({
    config: loadServerConfig({ env: {}, overrides: {} }),
    log,
    tokens,
    signIn,
    api: [
      (scope, _options, done) => {
        scope.get('/who', (request) => actorOf(request));
        scope.post('/who', (request) => actorOf(request));
        scope.get('/public', { config: { public: true } }, () => ({ ok: true }));
        scope.get('/conflict', () => Promise.reject(new ControlError('conflict', 'taken', { details: { by: 'x' } })));
        scope.get('/bug', () => Promise.reject(new TypeError('secret detail')));
        done();
      },
    ],
    root: [],
  });
});
afterEach(async () => {
  await app.close();
  await control[Symbol.asyncDispose]();
});

function bearer(text = token): Record<string, string> {
  return { authorization: `Bearer ${text}` };
}

async function get(path: string, headers: Record<string, string> = {}) {
  return app.inject({ url: `/api/v1${path}`, headers });
}

it('knows a token and a cookie', async () => {
  expect((await get('/who', bearer())).json()).toMatchObject({ kind: 'token' });
  expect((await get('/who', { cookie: `drawbridge=${session}` })).json()).toMatchObject({ kind: 'session' });
});

it.each([
  ['nobody', {}],
  ['a token that is none', bearer('dbt_nonsense')],
  ['a cookie that is none', { cookie: 'drawbridge=nonsense' }],
  ['another scheme', { authorization: 'Basic YTpi' }],
])('lets %s in nowhere but where everybody may', async (_name, headers) => {
  const refused = await get('/who', headers);
  expect([refused.statusCode, refused.json()]).toMatchObject([401, { code: 'unauthenticated' }]);
  expect((await get('/public', headers)).statusCode).toBe(200);
});

it('does not fall back to the cookie of a request whose token is wrong', async () => {
  const both = { ...bearer('dbt_nonsense'), cookie: `drawbridge=${session}` };
  expect((await get('/who', both)).statusCode).toBe(401);
});

it('takes changes by cookie from its own pages only', async () => {
  const from = (origin: string | undefined) =>
    app.inject({
      method: 'POST',
      url: '/api/v1/who',
      headers: { host: 'c.example.com', cookie: `drawbridge=${session}`, ...(origin === undefined ? {} : { origin }) },
    });
  expect((await from('http://c.example.com')).statusCode).toBe(200);
  for (const origin of [undefined, 'null', 'https://evil.example.com', 'http://c.example.com.evil.example.com'])
    expect((await from(origin)).statusCode).toBe(403);
});

it.each(['token', 'access_token', 'api_key', 'code'])('takes no secret in the URL: %s', async (name) => {
  for (const path of ['/who', '/public']) {
    const answer = await get(`${path}?a=1&${name}=hunter2`, bearer());
    expect([answer.statusCode, answer.json()]).toMatchObject([422, { code: 'invalid_request' }]);
    expect(answer.body).not.toContain('hunter2');
  }
});

it('answers errors in one shape, with the id of the request', async () => {
  const conflict = await get('/conflict', { ...bearer(), 'x-request-id': 'r1' });
  expect([conflict.statusCode, conflict.json()]).toEqual([
    409,
    { code: 'conflict', message: 'taken', request_id: 'r1', details: { by: 'x' } },
  ]);
  const bug = await get('/bug', bearer());
  expect([bug.statusCode, bug.json()]).toMatchObject([500, { code: 'internal', message: 'internal error' }]);
  expect(control.parts.lines).toContainEqual(expect.objectContaining({ level: 'error' }));
  const missing = await get('/nowhere?x=hunter2', bearer());
  expect([missing.statusCode, missing.json()]).toMatchObject([404, { code: 'not_found' }]);
  expect(missing.body).not.toContain('hunter2');
});

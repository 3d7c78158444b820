import { Readable } from 'node:stream';
import { ControlError } from '@drawbridge/protocol';
import { eventually } from '@drawbridge/testkit';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { CONTROL_PLANE } from '../operators/authorise.ts';
import { AppFixture } from './app-fixture.ts';
import { permit } from './permit.ts';

let server: AppFixture;
let session: string;
beforeEach(async () => {
  server = await AppFixture.make((scope, _options, done) => {
    const config = { verb: 'account.self' } as const;
    scope.get('/who', { config }, (request) => ({ name: permit(request, CONTROL_PLANE).name }));
    scope.post('/who', { config }, (request) => ({ name: permit(request, CONTROL_PLANE).name }));
    scope.get('/public', { config: { public: true } }, () => ({ ok: true }));
    scope.get('/conflict', { config }, () => {
      throw new ControlError('conflict', 'taken', { details: { by: 'x' } });
    });
    scope.get('/bug', { config }, () => Promise.reject(new TypeError('secret detail')));
    done();
  });
  session = await server.session('ann', 'viewer');
});
afterEach(() => server[Symbol.asyncDispose]());

it('knows a person by a bearer and by a cookie, and a program by its token', async () => {
  const { token } = await server.people.tokens.issue(
    { name: 'ci', verbs: null, selector: '', expiresInSeconds: 60 },
    await server.actor(session),
  );
  expect((await server.ask('GET', '/who', session)).json()).toEqual({ name: 'ann' });
  expect((await server.ask('GET', '/who', token)).json()).toEqual({ name: 'ann/ci' });
  const byCookie = await server.ask('GET', '/who', undefined, { headers: { cookie: `drawbridge=${session}` } });
  expect(byCookie.json()).toEqual({ name: 'ann' });
});

it.each([
  ['nobody', {}],
  ['a token that is none', { authorization: 'Bearer dbt_nonsense' }],
  ['a cookie that is none', { cookie: 'drawbridge=nonsense' }],
  ['another scheme', { authorization: 'Basic YTpi' }],
])('lets %s in nowhere but where everybody may', async (_name, headers) => {
  const refused = await server.ask('GET', '/who', undefined, { headers });
  expect([refused.statusCode, refused.json()]).toMatchObject([401, { code: 'unauthenticated' }]);
  expect((await server.ask('GET', '/public', undefined, { headers })).statusCode).toBe(200);
});

it('does not fall back to the cookie of a request whose token is wrong', async () => {
  const headers = { cookie: `drawbridge=${session}` };
  expect((await server.ask('GET', '/who', 'dbt_nonsense', { headers })).statusCode).toBe(401);
});

it('takes changes by cookie from its own pages only, and by bearer from wherever', async () => {
  const from = (origin: string | undefined) =>
    server.ask('POST', '/who', undefined, {
      headers: { cookie: `drawbridge=${session}`, ...(origin === undefined ? {} : { origin }) },
    });
  expect((await from('http://127.0.0.1:7400')).statusCode).toBe(200);
  const foreign = [undefined, 'null', 'https://evil.example.com', 'http://127.0.0.1:7400.evil.example.com'];
  for (const origin of foreign) expect((await from(origin)).statusCode).toBe(403);
  const headers = { origin: 'https://evil.example.com' };
  expect((await server.ask('POST', '/who', session, { headers })).statusCode).toBe(200);
});

it('judges a page by the address that a proxy of ours was asked for, not by what anybody else claims', async () => {
  const listen = { host: '0.0.0.0', trusted_proxies: ['10.0.0.0/8'], public_url: 'https://control.test' };
  await using proxied = await AppFixture.make(
    (scope, _options, done) => {
      const config = { verb: 'account.self' } as const;
      scope.post('/who', { config }, (request) => ({ name: permit(request, CONTROL_PLANE).name }));
      done();
    },
    { listen },
  );
  const cookie = `__Host-drawbridge=${await proxied.session('ann', 'viewer')}`;
  const from = async (remoteAddress: string, origin: string) => {
    const forwarded = { host: 'control.test', 'x-forwarded-host': 'control.test', 'x-forwarded-proto': 'https' };
    const headers = { ...forwarded, cookie, origin };
    return (await proxied.ask('POST', '/who', undefined, { remoteAddress, headers })).statusCode;
  };
  expect(await from('10.0.0.1', 'https://control.test')).toBe(200);
  expect(await from('10.0.0.1', 'http://control.test')).toBe(403);
  expect(await from('127.0.0.1', 'https://control.test')).toBe(403);
});

it('answers under a foreign name to nobody but who brings a good token', async () => {
  const under = async (path: string, secret: string) =>
    (await server.ask('GET', path, secret, { headers: { host: 'evil.example:7400' } })).statusCode;
  expect(await under('/who', session)).toBe(200);
  expect(await under('/who', 'dbt_nonsense')).toBe(403);
  expect(await under('/public', session)).toBe(403);
});

it('counts the requests of an account, and says when to come back', async () => {
  await using busy = await AppFixture.make(
    (scope, _options, done) => {
      scope.get('/who', { config: { verb: 'account.self' } }, (request) => ({
        name: permit(request, CONTROL_PLANE).name,
      }));
      done();
    },
    { limits: { requests_per_minute: 3 } },
  );
  const ann = await busy.session('ann', 'viewer');
  const bob = await busy.session('bob', 'viewer');
  for (let n = 0; n < 3; n += 1) expect((await busy.ask('GET', '/who', ann)).statusCode).toBe(200);
  const refused = await busy.ask('GET', '/who', ann);
  expect([refused.statusCode, refused.json()]).toMatchObject([429, { code: 'rate_limited' }]);
  expect(Number(refused.headers['retry-after'])).toBe(20);
  expect((await busy.ask('GET', '/who', bob)).statusCode).toBe(200);
  await busy.people.control.clock.advance(20_000);
  expect((await busy.ask('GET', '/who', ann)).statusCode).toBe(200);
});

it.each(['token', 'access_token', 'api_key', 'code'])('takes no secret in the URL: %s', async (name) => {
  for (const path of ['/who', '/public']) {
    const answer = await server.ask('GET', `${path}?a=1&${name}=hunter2`, session);
    expect([answer.statusCode, answer.json()]).toMatchObject([400, { code: 'credentials_in_url' }]);
    expect(answer.body).not.toContain('hunter2');
  }
});

it('answers errors in one shape, with the id of the request', async () => {
  const conflict = await server.ask('GET', '/conflict', session, { headers: { 'x-request-id': 'r1' } });
  expect([conflict.statusCode, conflict.json()]).toEqual([
    409,
    { code: 'conflict', message: 'taken', request_id: 'r1', details: { by: 'x' } },
  ]);
  const bug = await server.ask('GET', '/bug', session);
  expect([bug.statusCode, bug.json()]).toMatchObject([500, { code: 'internal', message: 'internal error' }]);
  expect(server.people.control.parts.lines).toContainEqual(expect.objectContaining({ level: 'error' }));
  const missing = await server.ask('GET', '/nowhere?x=hunter2', session);
  expect([missing.statusCode, missing.json()]).toMatchObject([404, { code: 'not_found' }]);
  expect(missing.body).not.toContain('hunter2');
});

it('asks again who somebody is once their body is here: it may come long after the headers', async () => {
  const { token, id } = await server.people.tokens.issue(
    { name: 'ci', verbs: null, selector: '', expiresInSeconds: 60 },
    await server.actor(session),
  );
  const body = new Readable({ read: () => undefined });
  const answer = server.ask('POST', '/who', token, { headers: { 'content-type': 'application/json' }, payload: body });
  body.push('{"a":');
  await eventually(() => body.readableLength === 0, { what: 'the first bytes to be read' });
  await server.people.tokens.revoke(id);
  body.push('1}');
  body.push(null);
  expect((await answer).statusCode).toBe(401);
});

it('asks again who somebody is after a hook has made them wait', async () => {
  const { promise: waits, resolve: goOn } = Promise.withResolvers<void>();
  const { promise: isWaiting, resolve: waiting } = Promise.withResolvers<void>();
  await using slow = await AppFixture.make(
    (scope, _options, done) => {
      scope.post('/who', { config: { verb: 'account.self' } }, (request) => ({
        name: permit(request, CONTROL_PLANE).name,
      }));
      done();
    },
    {},
    [
      (app) => {
        app.addHook('preHandler', async () => {
          waiting();
          await waits;
        });
      },
    ],
  );
  const ann = await slow.session('ann', 'viewer');
  const answer = slow.ask('POST', '/who', ann);
  await isWaiting;
  await slow.people.sessions.end(ann);
  goOn();
  expect((await answer).statusCode).toBe(401);
});

it('asks again before a hook that may answer by itself', async () => {
  await using replaying = await AppFixture.make(
    (scope, _options, done) => {
      scope.post('/who', { config: { verb: 'account.self' } }, (request) => permit(request, CONTROL_PLANE));
      done();
    },
    {},
    [
      (app) => {
        app.addHook('preParsing', async () => {
          await replaying.people.sessions.end(ann);
        });
        app.addHook('preHandler', async (request) => {
          permit(request, CONTROL_PLANE, 'account.self');
          throw new ControlError('conflict', 'answered before');
        });
      },
    ],
  );
  const ann = await replaying.session('ann', 'viewer');
  expect((await replaying.ask('POST', '/who', ann)).statusCode).toBe(401);
});

import { afterEach, beforeEach, expect, it } from 'vitest';
import { ADMIN } from '../../control-plane-fixture.ts';
import { RightsWorld } from '../../rights-world-fixture.ts';

const PASSWORD = 'correct horse battery';
const BY = { label: 'a test', method: 'password', address: null } as const;

let world: RightsWorld;
let userId: string;
let session: string;
beforeEach(async () => {
  world = await RightsWorld.make();
  ({ id: userId } = await world.nouns.users.create({ name: 'ann', password: PASSWORD, roles: [] }, ADMIN));
  ({ token: session } = await world.nouns.sessions.open(userId, BY));
});
afterEach(() => world[Symbol.asyncDispose]());

async function ask(method: 'POST' | 'PUT' | 'PATCH', path: string, body: object, secret?: string) {
  const authorization = secret === undefined ? {} : { authorization: `Bearer ${secret}` };
  const headers = { host: '127.0.0.1:7400', ...authorization };
  return world.app.inject({ method, url: `/api/v1${path}`, headers, payload: body });
}

it('lets who has a session guess their password no faster than who has none', async () => {
  for (let n = 0; n < 5; n += 1) {
    const wrong = await ask(
      'PUT',
      '/whoami/password',
      { current: `wrong ${n}`, password: 'another password' },
      session,
    );
    expect(wrong.statusCode).toBe(403);
  }
  const right = { current: PASSWORD, password: 'another password' };
  expect((await ask('PUT', '/whoami/password', right, session)).statusCode).toBe(429);
  expect((await ask('POST', '/sessions', { user: 'ann', password: PASSWORD })).statusCode).toBe(429);
  await world.clock.advance(12_000);
  expect((await ask('PUT', '/whoami/password', right, session)).statusCode).toBe(204);
});

it('signs nobody in who is disabled, by a link or by their yes to a command line', async () => {
  const { links, loginRequests, users, sessions } = world.nouns;
  await users.update(userId, { disabled: true }, ADMIN);
  expect((await ask('POST', '/sign-in', { code: links.issue({ kind: 'user', userId }) })).statusCode).toBe(401);
  const { id, pollSecret } = loginRequests.create('a laptop', null);
  loginRequests.answer(id, 'approve', userId);
  expect((await ask('POST', `/login-requests/${id}/token`, { poll_secret: pollSecret })).statusCode).toBe(403);
  expect(await sessions.list(userId, undefined)).toHaveLength(1);
});

it('signs nobody in by a link that was made before they were signed out everywhere', async () => {
  const made = await ask('POST', '/sign-in-links', {}, session);
  const code = made.json<{ url: string }>().url.split('#')[1];
  await world.nouns.sessions.endAll(userId);
  expect((await ask('POST', '/sign-in', { code })).statusCode).toBe(401);
});

it('records what an agent is labelled with, and whose password was set', async () => {
  const { users, sessions, audit } = world.nouns;
  const root = await users.find('root');
  const { token: admin } = await sessions.open(root.id, BY);
  const agentId = await world.addAgent('dev');
  expect((await ask('PATCH', `/agents/${agentId}`, { labels: { env: 'prod', site: 'lab' } }, admin)).statusCode).toBe(
    200,
  );
  expect((await ask('PATCH', '/users/ann', { name: 'anne', password: 'another password' }, admin)).statusCode).toBe(
    200,
  );
  const { records } = await audit.list({ filter: {}, limit: 2 });
  expect(records.map(({ details }) => details)).toEqual([
    { user_name: 'ann', from: 'ann', to: 'anne', method: 'password' },
    { labels: 'env=prod,site=lab' },
  ]);
});

it('opens no session for a token that expires: it would live on in it', async () => {
  const actor = await world.nouns.principals.bySecret(session);
  if (actor === undefined) throw new Error('ann is not signed in');
  const wanted = { name: 'ci', verbs: null, selector: '', expiresInSeconds: 60 };
  const { token } = await world.nouns.apiTokens.issue(wanted, actor);
  expect((await ask('POST', '/sign-in-links', {}, session)).statusCode).toBe(201);
  expect((await ask('POST', '/sign-in-links', {}, token)).json()).toMatchObject({ code: 'forbidden' });
});

it.each(['ann\u202elaptop', 'ann\u0000', 'two\nlines', '\u200b', ''])(
  'shows nobody the label %j of a command line',
  async (label) => {
    const asked = await ask('POST', '/login-requests', { label });
    expect([asked.statusCode, asked.json()]).toMatchObject([422, { code: 'invalid_request' }]);
  },
);

it('says of a body that is nested past all reason that it is, and goes on', async () => {
  const deep = `{"label":${'['.repeat(100_000)}${']'.repeat(100_000)}}`;
  const headers = { host: '127.0.0.1:7400', 'content-type': 'application/json' };
  const answer = await world.app.inject({ method: 'POST', url: '/api/v1/login-requests', headers, payload: deep });
  expect(answer.statusCode).toBe(422);
  expect((await ask('POST', '/login-requests', { label: 'ann@laptop' })).statusCode).toBe(201);
});

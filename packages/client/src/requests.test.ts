import { expect, it } from 'vitest';
import { DrawbridgeClient } from './client.ts';
import { answers, lineOf, newerAnswer } from './fetch-fixture.ts';

const TIME = '2026-01-07T10:00:00.000Z';
const NEVER = { created_at: TIME, last_sign_in_at: null };
const USER = { id: 'u1', name: 'ann', roles: [], disabled: false, has_password: false, ...NEVER };
const ROLE = { name: 'runner', description: '', verbs: ['task.run'], built_in: false };
const TOKEN = {
  id: 't1',
  name: 'ci',
  user_id: 'u1',
  verbs: null,
  selector: '',
  created_at: TIME,
  expires_at: TIME,
  last_used_at: null,
  revoked: false,
};
const SESSION = {
  id: '0011223344556677',
  label: 'a browser',
  method: 'link',
  address: null,
  created_at: TIME,
  last_used_at: TIME,
  expires_at: TIME,
  current: true,
};
const WHO = { kind: 'user', id: 'u1', name: 'ann', user_id: 'u1', has_password: true, roles: [], rights: [] };
const TUNNEL = {
  metadata: {},
  tunnel_id: 'n1',
  agent_id: 'a1',
  kind: 'operator',
  state: 'active',
  channels: 0,
  created_at: TIME,
  protocol: 'ssh',
  domain: 'ssh',
  port: 7400,
  target: { unix: '/run/x.sock' },
  operator_id: 'user:u1',
  operator_name: 'ann',
  legs: { operator: true, agent: true },
  idle_seconds: 3600,
  grace_seconds: 3600,
  last_activity_at: TIME,
  expires_at: TIME,
  bytes: { up: 0, down: 0 },
  ended_at: null,
  close_code: null,
  close_reason: null,
};
const TUNNEL_TOKEN = {
  tunnel_id: 'n1',
  port: 7400,
  token: 'x.y.z',
  token_expires_at: TIME,
  operator_url: 'wss://control.test/ws/tunnel/n1',
};
const ISSUED_TUNNEL = {
  ...TUNNEL_TOKEN,
  agent_id: 'a1',
  protocol: 'ssh',
  domain: 'ssh',
  idle_seconds: 3600,
  grace_seconds: 3600,
  expires_at: TIME,
  state: 'pending',
};
const LINK = { url: 'https://control.test/sign-in#x' };

type Call = (client: DrawbridgeClient) => Promise<unknown>;

/** What is called, what the control plane is asked by it, what it says, and what comes of that. */
const CALLS: readonly (readonly [call: Call, asked: string, answer: unknown, result: unknown])[] = [
  [({ users }) => users.list(), 'GET /users?limit=200', pageOf(USER), [USER]],
  [({ users }) => users.get('a/b'), 'GET /users/a%2Fb', USER, USER],
  [({ users }) => users.create({ name: 'ann' }), 'POST /users {"name":"ann"}', USER, USER],
  [({ users }) => users.update('ann', { disabled: true }), 'PATCH /users/ann {"disabled":true}', USER, USER],
  [({ users }) => users.remove('ann'), 'DELETE /users/ann', undefined, undefined],
  [({ users }) => users.createSignInLink('ann'), 'POST /users/ann/sign-in-links', LINK, LINK.url],
  [({ users }) => users.signOut('ann'), 'DELETE /users/ann/sessions', undefined, undefined],
  [({ roles }) => roles.list(), 'GET /roles', { items: [ROLE] }, [ROLE]],
  [({ roles }) => roles.get('runner'), 'GET /roles/runner', ROLE, ROLE],
  [
    ({ roles }) => roles.create({ name: 'runner', verbs: ['task.run'] }),
    'POST /roles {"name":"runner","verbs":["task.run"]}',
    ROLE,
    ROLE,
  ],
  [({ roles }) => roles.update('runner', { verbs: [] }), 'PATCH /roles/runner {"verbs":[]}', ROLE, ROLE],
  [({ roles }) => roles.remove('runner'), 'DELETE /roles/runner', undefined, undefined],
  [({ tokens }) => tokens.list(), 'GET /tokens?limit=200', pageOf(TOKEN), [TOKEN]],
  [({ tokens }) => tokens.list({ all: true }), 'GET /tokens?limit=200&all=true', pageOf(TOKEN), [TOKEN]],
  [
    ({ tokens }) => tokens.create({ name: 'ci', verbs: 'all', expiresInSeconds: 60 }),
    'POST /tokens {"name":"ci","verbs":"all","expires_in_seconds":60}',
    { ...TOKEN, token: 'dbt_x' },
    { ...TOKEN, token: 'dbt_x' },
  ],
  [({ tokens }) => tokens.revoke('t1'), 'DELETE /tokens/t1', undefined, undefined],
  [({ sessions }) => sessions.list(), 'GET /sessions', { items: [SESSION] }, [SESSION]],
  [({ sessions }) => sessions.end('current'), 'DELETE /sessions/current', undefined, undefined],
  [({ sessions }) => sessions.endAll(), 'DELETE /sessions', undefined, undefined],
  [(client) => client.whoAmI(), 'GET /whoami', WHO, WHO],
  [
    (client) => client.changePassword({ current: 'old', password: 'new' }),
    'PUT /whoami/password {"current":"old","password":"new"}',
    undefined,
    undefined,
  ],
  [(client) => client.listTunnels(), 'GET /tunnels?limit=200', pageOf(TUNNEL), [TUNNEL]],
  [
    (client) => client.listTunnels({ agent: 'a/b', state: 'closed', includeEnded: true }),
    'GET /tunnels?limit=200&agent=a%2Fb&state=closed&include_ended=true',
    pageOf(TUNNEL),
    [TUNNEL],
  ],
  [(client) => client.listTunnels({ includeEnded: false }), 'GET /tunnels?limit=200', pageOf(TUNNEL), [TUNNEL]],
  [(client) => client.tunnel('a/b'), 'GET /tunnels/a%2Fb', TUNNEL, TUNNEL],
  [
    (client) => client.requestTunnel({ agent_id: 'a1', protocol: 'ssh' }),
    'POST https://control.test/api/tunnel/request {"agent_id":"a1","protocol":"ssh"}',
    ISSUED_TUNNEL,
    ISSUED_TUNNEL,
  ],
  [(client) => client.closeTunnel('a/b'), 'DELETE https://control.test/api/tunnel/a%2Fb', undefined, undefined],
  [(client) => client.tunnelToken('a/b'), 'POST /tunnels/a%2Fb/token', TUNNEL_TOKEN, TUNNEL_TOKEN],
];

it.each(CALLS.map(([call, asked, answer, result]) => ({ call, asked, answer, result })))(
  'asks $asked, and gives what is answered',
  async ({ call, asked, answer, result }) => {
    const { fetch, asked: requests } = answers(newerAnswer(answer));
    expect(await call(new DrawbridgeClient({ url: 'https://control.test', fetch }))).toEqual(result);
    expect(requests.map(lineOf)).toEqual([asked]);
  },
);

function pageOf(item: object) {
  return { items: [item], next_cursor: null };
}

import type { Verb } from '@drawbridge/protocol/api';
import type { InjectOptions } from 'fastify';
import { randomUUID } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { pingRun } from './bulk/bulk-fixture.ts';
import { ADMIN } from './control-plane-fixture.ts';
import type { Env, RightsWorld } from './rights-world-fixture.ts';

/** For tests: what there is of one agent; of an agent that is not there, made-up ids. */
export interface Things {
  readonly agentId: string;
  readonly taskId: string;
  readonly commandId: string;
  readonly runId: string;
  /** Somebody else's lease. */
  readonly tunnelId: string;
}

/** For tests: a request as `inject` takes it, under /api/v1 unless it says otherwise. */
export interface SampleRequest {
  readonly url: string;
  readonly payload?: Record<string, unknown>;
  readonly headers?: Record<string, string>;
  readonly remoteAddress?: string;
}

/**
 * For tests: what a route is about, and so who may ask it. `agent`: one agent, or a thing of one. `new agent`: one that is not there
 * yet. `agents`: a list of what is in reach. `bulk run`, `new bulk run`: in reach when its target is. `server`: the control plane as a
 * whole. `own`: what is the asker's own. `token`, `lease`: somebody else's; the latter is for who may take it over. `feed`: whatever the
 * asker may read.
 */
export type About =
  'agent' | 'new agent' | 'agents' | 'bulk run' | 'new bulk run' | 'server' | 'own' | 'token' | 'lease' | 'feed';

/** For tests: a well-formed request to one route. */
export interface Sample {
  readonly about: About;
  /** The answer to who may. */
  readonly status: number;
  readonly request: (things: Things, world: RightsWorld, env: Env) => SampleRequest | Promise<SampleRequest>;
  /** The right without which the thing is not there; `agent.read` unless it is a thing of an agent. */
  readonly toRead?: Verb;
  /** A right it takes besides the one the route declares. */
  readonly besides?: Verb;
  /** A token is not enough, or not one that was narrowed. */
  readonly only?: 'person' | 'whole';
  /** Ends the agent, or the sign-in it came with. */
  readonly ends?: 'agent' | 'sign-in';
}

/** For tests: an agent with a task, a command and a bulk run of its own. */
export async function makeThings(world: RightsWorld, env: Env): Promise<Things> {
  const agentId = await world.addAgent(env);
  const { taskId } = await world.addTask(agentId);
  const wanted = pingRun({ choice: { kind: 'agents', agents: [agentId] } });
  const run = await world.nouns.bulkRuns.create(wanted, ADMIN);
  const tunnelId = await world.addLease(agentId);
  return { agentId, taskId, commandId: await world.addCommand(agentId), runId: run.id, tunnelId };
}

/** For tests: ids of nothing. */
export function nothing(): Things {
  return {
    agentId: randomUUID(),
    taskId: randomUUID(),
    commandId: randomUUID(),
    runId: randomUUID(),
    tunnelId: randomUUID(),
  };
}

/** Before a path outside of /api/v1. */
const ROOT = 'http://127.0.0.1:7400';
const name = () => `n${randomUUID().slice(0, 8)}`;
/** An operation that waits for its agent, and a task that does. */
const PING = { operation: 'agent.ping', queue_if_offline: true };
const TASK = { provider: 'shell', instructions: 'true', queue_if_offline: true };

const agent = (url: (things: Things) => string, status = 200, payload?: Record<string, unknown>): Sample => ({
  about: 'agent',
  status,
  request: (things) => ({ url: url(things), ...(payload === undefined ? {} : { payload }) }),
});
const task = (url: (things: Things) => string): Sample => ({ ...agent(url), toRead: 'task.read' });
const command = (url: (things: Things) => string): Sample => ({ ...agent(url), toRead: 'agent.command' });
const tunnel = (url: (things: Things) => string, status = 200): Sample => ({
  ...agent(url, status),
  toRead: 'tunnel.read',
});
const plain = (about: About, url: string, status = 200, payload?: Record<string, unknown>): Sample => ({
  about,
  status,
  request: () => ({ url, ...(payload === undefined ? {} : { payload }) }),
});
const server = (status: number, request: Sample['request']): Sample => ({ about: 'server', status, request });
const own = (status: number, request: Sample['request']): Sample => ({ about: 'own', status, request });

const newUser = (world: RightsWorld) => world.addUser(name());
const newGroup = (world: RightsWorld) =>
  world.nouns.groups.create({ name: name(), selector: '', description: '' }, ADMIN);
const newRole = async (world: RightsWorld) => {
  const role = { name: name(), description: '', verbs: [] };
  return (await world.nouns.roles.create(role, ADMIN)).name;
};
const newLogin = (world: RightsWorld) => world.nouns.loginRequests.create('a test', null).id;

const AGENTS: Readonly<Record<string, Sample>> = {
  'GET /api/v1/agents': plain('agents', '/agents'),
  'POST /api/v1/agents': {
    about: 'new agent',
    status: 201,
    request: (_things, _world, env) => ({ url: '/agents', payload: { name: name(), labels: { env } } }),
  },
  'GET /api/v1/agents/:agent': agent(({ agentId }) => `/agents/${agentId}`),
  'PATCH /api/v1/agents/:agent': agent(({ agentId }) => `/agents/${agentId}`, 200, { labels: { team: 'x' } }),
  'DELETE /api/v1/agents/:agent': { ...agent(({ agentId }) => `/agents/${agentId}`, 204), ends: 'agent' },
  'GET /api/v1/agents/:agent/config': agent(({ agentId }) => `/agents/${agentId}/config`),
  'PATCH /api/v1/agents/:agent/config': agent(({ agentId }) => `/agents/${agentId}/config`, 200, {}),
  'GET /api/v1/agents/:agent/health': agent(({ agentId }) => `/agents/${agentId}/health`),
  'GET /api/v1/agents/:agent/activity': agent(({ agentId }) => `/agents/${agentId}/activity`),
  'POST /api/v1/agents/:agent/commands': agent(({ agentId }) => `/agents/${agentId}/commands`, 202, PING),
  // The agent is away: whoever may is told so.
  'POST /api/v1/agents/:agent/sessions': agent(({ agentId }) => `/agents/${agentId}/sessions`, 503, {}),
  'GET /api/v1/agents/:agent/sessions': agent(({ agentId }) => `/agents/${agentId}/sessions`, 503),
  'GET /api/v1/agents/:agent/sessions/:id': agent(({ agentId }) => `/agents/${agentId}/sessions/${randomUUID()}`, 503),
  'DELETE /api/v1/agents/:agent/sessions/:id': agent(
    ({ agentId }) => `/agents/${agentId}/sessions/${randomUUID()}`,
    503,
  ),
  'GET /api/v1/commands/:id': command(({ commandId }) => `/commands/${commandId}`),
  'POST /api/v1/commands/:id/cancel': command(({ commandId }) => `/commands/${commandId}/cancel`),
  'GET /api/v1/groups': plain('agents', '/groups'),
  'POST /api/v1/groups': server(201, () => ({ url: '/groups', payload: { name: name(), selector: 'env=dev' } })),
  'GET /api/v1/groups/:group': {
    ...plain('agents', ''),
    request: async (_things, world) => ({ url: `/groups/${(await newGroup(world)).id}` }),
  },
  'GET /api/v1/groups/:group/agents': {
    ...plain('agents', ''),
    request: async (_things, world) => ({ url: `/groups/${(await newGroup(world)).id}/agents` }),
  },
  'PATCH /api/v1/groups/:group': server(200, async (_things, world) => {
    return { url: `/groups/${(await newGroup(world)).id}`, payload: { description: 'x' } };
  }),
  'DELETE /api/v1/groups/:group': server(204, async (_things, world) => {
    return { url: `/groups/${(await newGroup(world)).id}` };
  }),
  'GET /api/v1/bulk-runs': plain('agents', '/bulk-runs'),
  'POST /api/v1/bulk-runs': {
    about: 'new bulk run',
    status: 201,
    besides: 'agent.command',
    request: ({ agentId }) => ({ url: '/bulk-runs', payload: { ...PING, agent_ids: [agentId] } }),
  },
  'GET /api/v1/bulk-runs/:id': { ...agent(({ runId }) => `/bulk-runs/${runId}`), about: 'bulk run' },
  'GET /api/v1/bulk-runs/:id/targets': { ...agent(({ runId }) => `/bulk-runs/${runId}/targets`), about: 'bulk run' },
  'POST /api/v1/bulk-runs/:id/cancel': {
    ...agent(({ runId }) => `/bulk-runs/${runId}/cancel`),
    about: 'bulk run',
    besides: 'agent.command',
  },
  'GET /api/v1/tasks': plain('agents', '/tasks'),
  'POST /api/v1/tasks': {
    about: 'agent',
    status: 201,
    request: ({ agentId }) => ({ url: '/tasks', payload: { ...TASK, agent_id: agentId } }),
  },
  'GET /api/v1/tasks/:id': task(({ taskId }) => `/tasks/${taskId}`),
  'POST /api/v1/tasks/:id/cancel': task(({ taskId }) => `/tasks/${taskId}/cancel`),
  'GET /api/v1/tasks/:id/output': task(({ taskId }) => `/tasks/${taskId}/output`),
  'GET /api/v1/tasks/:id/result': task(({ taskId }) => `/tasks/${taskId}/result`),
  'GET /api/v1/tunnels': plain('agents', '/tunnels'),
  'GET /api/v1/tunnels/:id': tunnel(({ tunnelId }) => `/tunnels/${tunnelId}`),
  'POST /api/v1/tunnels/:id/token': {
    about: 'lease',
    status: 201,
    toRead: 'tunnel.read',
    besides: 'tunnel.takeover',
    request: ({ tunnelId }) => ({ url: `/tunnels/${tunnelId}/token`, payload: { takeover: true } }),
  },
  // The agent is away: whoever may is told so.
  'POST /api/tunnel/request': {
    ...agent(() => '', 503),
    request: ({ agentId }) => ({
      url: `${ROOT}/api/tunnel/request`,
      payload: { agent_id: agentId, protocol: 'tcp' },
    }),
  },
  'DELETE /api/tunnel/:id': { ...tunnel(({ tunnelId }) => `${ROOT}/api/tunnel/${tunnelId}`, 204), ends: 'agent' },
  'GET /api/v1/events': plain('feed', '/events'),
};

/** The agent is away: whoever may reach its ports is told so. */
const proxied = (path: string): Sample => ({
  ...agent(() => '', 503),
  request: ({ agentId }) => ({
    url: `${ROOT}${path.replace(':sandbox', agentId).replace(':port', '80').replace('*', 'x')}`,
  }),
});
const PROXIED: Readonly<Record<string, Sample>> = Object.fromEntries(
  ['/sandboxes/:sandbox/proxy/:port', '/sandboxes/:sandbox/proxy/:port/*']
    .flatMap((path) => [path, `/v1${path}`])
    .map((path) => [`ANY ${path}`, proxied(path)]),
);

const SERVER: Readonly<Record<string, Sample>> = {
  'GET /metrics': server(200, () => ({ url: 'http://127.0.0.1:7400/metrics', remoteAddress: '192.0.2.1' })),
  'GET /api/v1/audit': plain('agents', '/audit'),
  'GET /api/v1/audit/verify': plain('server', '/audit/verify'),
  'GET /api/v1/audit/export': plain('server', '/audit/export'),
  'POST /api/v1/backups': plain('server', '/backups'),
  'GET /api/v1/join-tokens': plain('server', '/join-tokens'),
  'POST /api/v1/join-tokens': plain('server', '/join-tokens', 201, {}),
  'DELETE /api/v1/join-tokens/:id': server(204, async (_things, world) => {
    const { id } = await world.nouns.joinTokens.issue({ ttlSeconds: 60, uses: 1, labels: {} }, ADMIN);
    return { url: `/join-tokens/${id}` };
  }),
  'GET /api/v1/roles': plain('server', '/roles'),
  'POST /api/v1/roles': server(201, () => ({ url: '/roles', payload: { name: name(), verbs: [] } })),
  'GET /api/v1/roles/:role': plain('server', '/roles/viewer'),
  'PATCH /api/v1/roles/:role': server(200, async (_things, world) => {
    return { url: `/roles/${await newRole(world)}`, payload: { description: 'x' } };
  }),
  'DELETE /api/v1/roles/:role': server(204, async (_things, world) => ({ url: `/roles/${await newRole(world)}` })),
  'GET /api/v1/users': plain('server', '/users'),
  'POST /api/v1/users': server(201, () => ({ url: '/users', payload: { name: name() } })),
  'GET /api/v1/users/:user': plain('server', '/users/root'),
  'PATCH /api/v1/users/:user': server(200, async (_things, world) => {
    return { url: `/users/${await newUser(world)}`, payload: { disabled: true } };
  }),
  'DELETE /api/v1/users/:user': server(204, async (_things, world) => ({ url: `/users/${await newUser(world)}` })),
  'DELETE /api/v1/users/:user/sessions': server(204, async (_things, world) => {
    return { url: `/users/${await newUser(world)}/sessions` };
  }),
  'POST /api/v1/users/:user/sign-in-links': server(201, async (_things, world) => {
    return { url: `/users/${await newUser(world)}/sign-in-links` };
  }),
};

const OWN: Readonly<Record<string, Sample>> = {
  'GET /api/v1/whoami': plain('own', '/whoami'),
  'PUT /api/v1/whoami/password': {
    ...plain('own', '/whoami/password', 204, { password: 'correct horse battery staple' }),
    only: 'person',
    ends: 'sign-in',
  },
  'GET /api/v1/sessions': plain('own', '/sessions'),
  'DELETE /api/v1/sessions': { ...plain('own', '/sessions', 204), ends: 'sign-in' },
  'DELETE /api/v1/sessions/:session': { ...plain('own', '/sessions/current', 204), ends: 'sign-in' },
  'POST /api/v1/sign-in-links': { ...plain('own', '/sign-in-links', 201, {}), only: 'whole' },
  'GET /api/v1/login-requests/:id': {
    ...own(200, (_things, world) => ({ url: `/login-requests/${newLogin(world)}` })),
    only: 'person',
  },
  'POST /api/v1/login-requests/:id/answer': {
    ...own(204, (_things, world) => ({
      url: `/login-requests/${newLogin(world)}/answer`,
      payload: { answer: 'deny' },
    })),
    only: 'person',
  },
  'GET /api/v1/tokens': plain('own', '/tokens'),
  'POST /api/v1/tokens': plain('own', '/tokens', 201, {
    name: 'less',
    verbs: ['account.self'],
    expires_in_seconds: 60,
  }),
  'DELETE /api/v1/tokens/:token': {
    about: 'token',
    status: 204,
    request: async (_things, world) => ({ url: `/tokens/${(await world.issueToken(await newUser(world))).id}` }),
  },
};

/** For tests: a request to every route that is not public, and to `/metrics`, whose door is its own. */
export const SAMPLES: Readonly<Record<string, Sample>> = { ...AGENTS, ...PROXIED, ...SERVER, ...OWN };

/** For tests: an answer without what is different each time. */
export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** For tests: asks, as whoever comes with `secret`. Ids of `things` are made the same in the answer. */
export async function ask(
  world: RightsWorld,
  method: InjectOptions['method'],
  { url, payload, headers, remoteAddress }: SampleRequest,
  { secret, things }: { readonly secret: string; readonly things: Things },
): Promise<Answer> {
  const isFeed = url === '/events';
  const over = new AbortController();
  const answer = await world.app.inject({
    method: method === undefined || String(method) === 'ANY' ? 'GET' : method,
    url: url.startsWith('http') ? new URL(url).pathname : `/api/v1${url}`,
    headers: { host: '127.0.0.1:7400', authorization: `Bearer ${secret}`, ...headers },
    ...(payload === undefined ? {} : { payload }),
    ...(remoteAddress === undefined ? {} : { remoteAddress }),
    ...(isFeed ? { payloadAsStream: true, signal: over.signal } : {}),
  });
  const status = answer.statusCode;
  if (!isFeed) return { status, body: alike(answer.body, things) };
  // What is followed never ends by itself.
  if (status !== 200) return { status, body: alike(await text(answer.stream()), things) };
  answer.stream().on('error', () => undefined);
  over.abort();
  return { status, body: '' };
}

/** The text without the request's id, and with one word for each of these ids. */
function alike(body: string, things: Things): string {
  const ids = Object.values(things);
  return ids.reduce((rest, id) => rest.replaceAll(id, 'ID'), body).replace(/"request_id":"[^"]*"/, '"request_id":""');
}

import { randomUUID } from 'node:crypto';
import { decodeJwt } from 'jose';
import { AuditRecord, IssuedTunnel, IssuedTunnelToken, TunnelView, pageOf } from '@drawbridge/protocol/api';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ADMIN, recordedLink } from '../../control-plane-fixture.ts';
import { RightsWorld } from '../../rights-world-fixture.ts';
import { operatorClaims } from '../../tunnels/lease-claims.ts';

let world: RightsWorld;
let ann: string;
let bob: string;
let root: string;
beforeAll(async () => {
  world = await RightsWorld.make();
  ann = await world.signIn(await world.addUser('ann', [['operator', 'env=dev']]));
  bob = await world.signIn(await world.addUser('bob', [['operator', '']]));
  root = await world.signIn(await world.addUser('boss', [['admin', '']]));
});
afterAll(() => world[Symbol.asyncDispose]());

let agentId: string;
beforeEach(async () => {
  agentId = await online('dev');
});

async function online(env: 'dev' | 'prod'): Promise<string> {
  const id = await world.addAgent(env);
  world.nouns.presence.attach(recordedLink({ agentId: id }));
  return id;
}

function ask(method: 'GET' | 'POST' | 'DELETE', url: string, secret: string, more: object = {}) {
  const headers = { host: '127.0.0.1:7400', authorization: `Bearer ${secret}`, ...more };
  return (payload?: object) =>
    world.app.inject({ method, url, headers, ...(payload === undefined ? {} : { payload }) });
}

const request = (payload: object, secret = ann, headers: object = {}) =>
  ask('POST', '/api/tunnel/request', secret, headers)({ agent_id: agentId, protocol: 'tcp', ...payload });

async function made(payload: object = {}, secret = ann): Promise<IssuedTunnel> {
  const answer = await request(payload, secret);
  expect(answer.statusCode).toBe(201);
  return IssuedTunnel.parse(answer.json());
}

async function list(query: string, secret = ann): Promise<string[]> {
  const answer = await ask('GET', `/api/v1/tunnels?${query}`, secret)();
  return pageOf(TunnelView)
    .parse(answer.json())
    .items.map((view) => view.tunnel_id);
}

const show = async (id: string, secret = ann) =>
  TunnelView.parse((await ask('GET', `/api/v1/tunnels/${id}`, secret)()).json());

async function refusal(asked: Promise<{ statusCode: number; json(): unknown }>): Promise<unknown> {
  const answer = await asked;
  return { status: answer.statusCode, ...(answer.json() as object) };
}

describe('POST /api/tunnel/request', () => {
  it('answers with the lease, and a token that is good for its operator’s end once', async () => {
    const target = { host: '10.0.0.5', port: 22 };
    const tunnel = await made({ protocol: 'ssh', domain: 'ssh', target });
    expect(tunnel).toMatchObject({
      agent_id: agentId,
      port: 7400,
      protocol: 'ssh',
      domain: 'ssh',
      idle_seconds: 3600,
      grace_seconds: 3600,
      state: 'pending',
      operator_url: `ws://127.0.0.1:7400/ws/tunnel/${tunnel.tunnel_id}`,
      expires_at: new Date(world.clock.now() + 120_000).toISOString(),
      token_expires_at: new Date(world.clock.now() + 120_000).toISOString(),
    });
    const lease = world.nouns.leases.find(tunnel.tunnel_id);
    if (lease === undefined) throw new Error('no lease');
    await world.nouns.tunnelTokens.redeem(tunnel.token, operatorClaims(lease, lease.operatorId), 'tunnel-operator');
    expect(await show(tunnel.tunnel_id)).toMatchObject({ kind: 'operator', target, operator_name: 'ann', channels: 0 });
  });

  it('takes an agent by its name', async () => {
    const { name } = await world.nouns.agents.find(agentId);
    expect(await made({ agent_id: name })).toMatchObject({ agent_id: agentId });
  });

  it('is recorded with what was leased, and without its token', async () => {
    const tunnel = await made({ protocol: 'ssh' });
    const answer = await ask('GET', `/api/v1/audit?agent=${agentId}&verb=tunnel.open`, root)();
    const { items } = pageOf(AuditRecord).parse(answer.json());
    expect(items).toHaveLength(1);
    expect(items[0]).toMatchObject({
      actor_name: 'ann',
      result: 'allowed',
      details: { tunnel_id: tunnel.tunnel_id, protocol: 'ssh', domain: 'ssh', port: 7400 },
    });
    expect(answer.body).not.toContain(tunnel.token.split('.').at(-1));
  });

  it('answers a repetition under its key with the same lease, and makes no other', async () => {
    const key = { 'idempotency-key': randomUUID() };
    const [first, second] = [await request({}, ann, key), await request({}, ann, key)];
    expect(second.json()).toEqual(first.json());
    expect(second.headers['idempotent-replayed']).toBe('true');
    expect(world.nouns.leases.ofAgent(agentId)).toHaveLength(1);
  });

  it.each([
    ['an agent that is not there', { agent_id: 'nobody' }, 404, 'agent_not_found'],
    ['a protocol that there is not', { protocol: 'gopher' }, 422, 'invalid_request'],
    ['a domain of another protocol', { domain: 'ps' }, 422, 'invalid_request'],
    ['a target for a shell', { protocol: 'ps', target: { host: 'x', port: 1 } }, 422, 'invalid_request'],
    ['a port that is none', { target: { host: 'x', port: 65_536 } }, 422, 'invalid_request'],
    ['a path that is relative', { target: { unix: 'run/x.sock' } }, 422, 'invalid_request'],
    ['what nobody knows', { surprise: 1 }, 422, 'invalid_request'],
  ])('refuses %s', async (_what, payload, status, code) => {
    expect(await refusal(request(payload))).toMatchObject({ status, code });
    expect(world.nouns.leases.ofAgent(agentId)).toEqual([]);
  });

  it('refuses an agent that is away, or out of reach', async () => {
    const away = await world.addAgent('dev');
    expect(await refusal(request({ agent_id: away }))).toMatchObject({ status: 503, code: 'agent_offline' });
    expect(await refusal(request({ agent_id: await online('prod') }))).toMatchObject({ status: 404 });
  });

  it('refuses a second shell with 409 and the tunnel that has the first', async () => {
    const { tunnel_id } = await made({ protocol: 'ps' });
    expect(await refusal(request({ protocol: 'ps' }, bob))).toMatchObject({
      status: 409,
      code: 'domain_limit',
      details: { domain: 'ps', limit: 1, tunnel_id },
    });
    expect(await made({ protocol: 'ps' })).toMatchObject({ tunnel_id });
  });
});

describe('GET /api/v1/tunnels', () => {
  it('shows what is not over; what is, to who asks for it', async () => {
    const [open, over] = [await made(), await made()];
    await ask('DELETE', `/api/tunnel/${over.tunnel_id}`, ann)();
    const both = [open.tunnel_id, over.tunnel_id];
    expect(await list(`agent=${agentId}`)).toEqual([open.tunnel_id]);
    expect(await list(`agent=${agentId}&include_ended=true`)).toEqual(both);
    expect(await list(`agent=${agentId}&state=closed`)).toEqual([over.tunnel_id]);
    expect(await list(`agent=${agentId}&state=pending`)).toEqual([open.tunnel_id]);
    expect(await list(`agent=${agentId}&state=active&include_ended=true`)).toEqual([]);
  });

  it('shows each once, page by page, whether it is over or not', async () => {
    const all: string[] = [];
    for (let index = 0; index < 5; index += 1) all.push((await made()).tunnel_id);
    for (const id of [all[1], all[3]]) await ask('DELETE', `/api/tunnel/${id}`, ann)();
    const seen: string[] = [];
    let cursor = '';
    for (let pages = 0; pages < 3; pages += 1) {
      const query = `agent=${agentId}&include_ended=true&limit=2${cursor}`;
      const answer = await ask('GET', `/api/v1/tunnels?${query}`, ann)();
      const { items, next_cursor } = pageOf(TunnelView).parse(answer.json());
      seen.push(...items.map((view) => view.tunnel_id));
      cursor = `&cursor=${next_cursor}`;
    }
    expect(seen).toEqual(all);
    expect(cursor).toBe('&cursor=null');
  });

  it('shows nobody the tunnels of agents that are out of their reach', async () => {
    const hidden = await online('prod');
    const { tunnel_id } = await made({ agent_id: hidden }, bob);
    await made({}, bob);
    expect(await list('limit=200')).not.toContain(tunnel_id);
    expect(await list('limit=200', bob)).toContain(tunnel_id);
    expect(await refusal(ask('GET', `/api/v1/tunnels/${tunnel_id}`, ann)())).toMatchObject({
      code: 'tunnel_not_found',
    });
    await ask('DELETE', `/api/tunnel/${tunnel_id}`, bob)();
    expect(await list('limit=200&include_ended=true')).not.toContain(tunnel_id);
  });
});

describe('DELETE /api/tunnel/:id', () => {
  const remove = (id: string, secret: string) => ask('DELETE', `/api/tunnel/${id}`, secret)();

  it('ends one’s own, and says so to who looks', async () => {
    const { tunnel_id: id } = await made();
    expect((await remove(id, ann)).statusCode).toBe(204);
    expect(await show(id)).toMatchObject({
      state: 'closed',
      close_code: 12,
      close_reason: 'closed by its operator',
      ended_at: new Date(world.clock.now()).toISOString(),
      expires_at: null,
    });
    expect((await remove(id, ann)).statusCode).toBe(204);
  });

  it('ends somebody else’s for who may take over, and for nobody else', async () => {
    const { tunnel_id: id } = await made();
    expect(await refusal(remove(id, bob))).toMatchObject({ status: 403, code: 'forbidden' });
    expect(world.nouns.leases.find(id)).toBeDefined();
    expect((await remove(id, root)).statusCode).toBe(204);
    expect(await show(id)).toMatchObject({ close_reason: 'closed by boss' });
  });
});

describe('POST /api/v1/tunnels/:id/token', () => {
  const renew = (id: string, secret: string, body?: object) => ask('POST', `/api/v1/tunnels/${id}/token`, secret)(body);

  it('gives its operator a fresh token, another one each time', async () => {
    const tunnel = await made();
    const answer = await renew(tunnel.tunnel_id, ann);
    expect(answer.statusCode).toBe(201);
    const fresh = IssuedTunnelToken.parse(answer.json());
    expect(fresh).toMatchObject({ tunnel_id: tunnel.tunnel_id, port: 7400, operator_url: tunnel.operator_url });
    const lease = world.nouns.leases.find(tunnel.tunnel_id);
    if (lease === undefined) throw new Error('no lease');
    for (const token of [fresh.token, tunnel.token]) {
      await world.nouns.tunnelTokens.redeem(token, operatorClaims(lease, lease.operatorId), 'tunnel-operator');
    }
  });

  it('gives nobody else one, admins neither, unless they take over and may', async () => {
    const { tunnel_id: id } = await made();
    for (const other of [bob, root])
      expect(await refusal(renew(id, other))).toMatchObject({ status: 409, code: 'already_connected' });
    expect(await refusal(renew(id, bob, { takeover: true }))).toMatchObject({ status: 403, code: 'forbidden' });
    const { token } = IssuedTunnelToken.parse((await renew(id, root, { takeover: true })).json());
    const lease = world.nouns.leases.find(id);
    if (lease === undefined) throw new Error('no lease');
    const { tunnelTokens } = world.nouns;
    const ofAnn = tunnelTokens.redeem(token, operatorClaims(lease, lease.operatorId), 'tunnel-operator');
    await expect(ofAnn).rejects.toMatchObject({ code: 'auth_failed' });
    const { operator } = decodeJwt(token);
    await tunnelTokens.redeem(token, operatorClaims(lease, String(operator)), 'tunnel-operator');
  });

  it('gives none for a tunnel that is over', async () => {
    const { tunnel_id: id } = await made();
    await world.nouns.leases.end(id, { code: 0, reason: 'done' }, ADMIN);
    expect(await refusal(renew(id, ann))).toMatchObject({ status: 409, code: 'conflict' });
  });
});

it('ends the tunnels of an agent that is revoked', async () => {
  const { tunnel_id: id } = await made();
  await world.nouns.agents.revoke(agentId);
  expect(await show(id)).toMatchObject({ state: 'closed', close_code: 10, close_reason: 'the agent was revoked' });
});

import { ControlError } from '@drawbridge/protocol';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { CONTROL_PLANE } from '../operators/authorise.ts';
import { AppFixture } from './app-fixture.ts';
import { noteAudit, permit } from './permit.ts';

const PROD = {
  kind: 'agent',
  agentId: 'a1',
  labels: { env: 'prod' },
  missing: () => new ControlError('agent_not_found', 'no agent build-1'),
} as const;

let server: AppFixture;
beforeEach(async () => {
  server = await AppFixture.make((scope, _options, done) => {
    scope.get('/agent', { config: { verb: 'agent.read' } }, (request) => ({ for: permit(request, PROD).name }));
    scope.post('/agent', { config: { verb: 'admin.agents' } }, (request) => {
      permit(request, PROD);
      noteAudit(request, { details: { from: 'build-1', to: 'build-2' } });
      return { ok: true };
    });
    scope.post('/broken', { config: { verb: 'admin.agents' } }, (request) => {
      permit(request, PROD);
      throw new ControlError('agent_name_taken', 'an agent named build-2 exists already');
    });
    scope.delete('/agent', { config: { verb: 'admin.users' } }, (request) => {
      permit(request, CONTROL_PLANE);
      return { ok: true };
    });
    scope.get('/forgotten', { config: { verb: 'agent.read' } }, () => ({ secret: 'of somebody' }));
    scope.post('/forgotten', { config: { verb: 'agent.command' } }, (request) => {
      noteAudit(request, { details: { operation: 'agent.ping' } });
      return { secret: 'of somebody' };
    });
    scope.get('/export', { config: { verb: 'agent.read', audit: true } }, (request) => {
      permit(request, PROD);
      return { ok: true };
    });
    done();
  });
});
afterEach(() => server[Symbol.asyncDispose]());

it.each(['GET', 'POST'] as const)(
  'turns the answer of a route that never asked into a 500 that shows nothing: %s',
  async (method) => {
    const admin = await server.session('ann', 'admin');
    const answer = await server.ask(method, '/forgotten', admin);
    expect([answer.statusCode, answer.json()]).toMatchObject([500, { code: 'internal' }]);
    expect(answer.body).not.toContain('of somebody');
  },
);

it('does not start with a route that is neither public nor names its verb', async () => {
  const making = AppFixture.make((scope, _options, done) => {
    scope.get('/open', () => ({ ok: true }));
    done();
  });
  await expect(making).rejects.toThrow(/neither public nor do they name a verb: GET \/api\/v1\/open/);
});

it('answers 404 to who may not see the thing, 403 to who may not do it, and records both', async () => {
  const outsider = await server.session('out', 'admin', 'env=dev');
  const viewer = await server.session('view', 'viewer');
  expect((await server.ask('POST', '/agent', outsider)).json()).toMatchObject({ code: 'agent_not_found' });
  expect((await server.ask('POST', '/agent', viewer)).json()).toMatchObject({ code: 'forbidden' });
  expect(server.recorded).toMatchObject([
    { actorName: 'out', verb: 'admin.agents', resource: 'agent:a1', result: 'denied', reason: 'agent_not_found' },
    { actorName: 'view', verb: 'admin.agents', agentId: 'a1', result: 'denied', reason: 'forbidden' },
  ]);
});

it('records what was done, by whom, from where, under which request', async () => {
  const admin = await server.session('ann', 'admin');
  const answer = await server.ask('POST', '/agent', admin, { headers: { 'x-request-id': 'r7' } });
  expect(answer.statusCode).toBe(200);
  const { id } = await server.actor(admin);
  expect(server.recorded).toEqual([
    {
      actor: `user:${id}`,
      actorName: 'ann',
      verb: 'admin.agents',
      resource: 'agent:a1',
      agentId: 'a1',
      address: '127.0.0.1',
      requestId: 'r7',
      result: 'allowed',
      reason: null,
      details: { from: 'build-1', to: 'build-2' },
    },
  ]);
});

it('records that what was allowed did not work, and why', async () => {
  const admin = await server.session('ann', 'admin');
  expect((await server.ask('POST', '/broken', admin)).statusCode).toBe(409);
  expect(server.recorded).toMatchObject([{ result: 'failed', reason: 'agent_name_taken' }]);
});

it('does not record mere reading, unless the route says that it matters', async () => {
  const viewer = await server.session('view', 'viewer');
  await server.ask('GET', '/agent', viewer);
  expect(server.recorded).toEqual([]);
  await server.ask('GET', '/export', viewer);
  expect(server.recorded).toMatchObject([{ verb: 'agent.read', result: 'allowed' }]);
});

it('answers nothing that it could not record', async () => {
  const admin = await server.session('ann', 'admin');
  server.recordFails = new ControlError('store_unavailable', 'the store is gone');
  const answer = await server.ask('POST', '/agent', admin);
  expect([answer.statusCode, answer.json()]).toMatchObject([503, { code: 'store_unavailable' }]);
});

it('does not let a scoped admin at what is the whole control plane', async () => {
  const scoped = await server.session('lead', 'admin', 'env=prod');
  expect((await server.ask('POST', '/agent', scoped)).statusCode).toBe(200);
  expect((await server.ask('DELETE', '/agent', scoped)).json()).toMatchObject({ code: 'forbidden' });
});

import { ControlError } from '@drawbridge/protocol';
import { eventually } from '@drawbridge/testkit';
import fastify from 'fastify';
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ADMIN, ControlPlaneFixture } from '../control-plane-fixture.ts';
import { AgentLabels } from '../events/agent-labels.ts';
import { IdempotentAnswers } from '../idempotency/idempotent-answers.ts';
import type { Actor } from '../operators/actor.ts';
import { CONTROL_PLANE } from '../operators/authorise.ts';
import { actorWith } from '../operators/people-fixture.ts';
import { installErrorHandler } from './error-handler.ts';
import { honourIdempotencyKeys } from './idempotency.ts';
import { guardAnswers, permit } from './permit.ts';

let control: ControlPlaneFixture;
let app: FastifyInstance;
let actor: Actor;
let made: number;
/** What the next request meets: an error of the handler, or of the audit log. */
let trouble: { handler?: Error; audit?: Error };
let mayEnd: PromiseWithResolvers<void>;
beforeEach(async () => {
  control = await ControlPlaneFixture.make();
  actor = ADMIN;
  made = 0;
  trouble = {};
  mayEnd = Promise.withResolvers();
  mayEnd.resolve();
  app = fastify();
  app.setSerializerCompiler(() => (answer) => JSON.stringify(answer));
  installErrorHandler(app);
  app.decorateRequest('actor', undefined);
  app.addHook('onRequest', async (request) => {
    request.actor = actor;
  });
  const { db, box, log } = control.parts;
  const { clock } = control;
  honourIdempotencyKeys(app, {
    answers: new IdempotentAnswers({ db, box, log, clock }),
    labels: new AgentLabels({ db, clock }),
  });
  guardAnswers(app, {
    record: () => (trouble.audit === undefined ? Promise.resolve() : Promise.reject(trouble.audit)),
  });
  app.post('/things', { config: { verb: 'admin.join-tokens', creates: true } }, async (request, reply) => {
    permit(request, CONTROL_PLANE);
    made += 1;
    const secret = `secret ${made}`;
    await mayEnd.promise;
    if (trouble.handler !== undefined) throw trouble.handler;
    return reply.code(201).send({ secret });
  });
  app.post('/agents/:agent/things', { config: { verb: 'admin.agents', creates: true } }, (request, reply) => {
    permit(request, { kind: 'agent', agentId: '', labels: { site: 'lab' } });
    made += 1;
    return reply.code(202).send({ made });
  });
});
afterEach(async () => {
  await app.close();
  await control[Symbol.asyncDispose]();
});

async function post(key?: string, body: Record<string, unknown> = { a: 1 }, url = '/things') {
  const headers = key === undefined ? {} : { 'idempotency-key': key };
  const answer = await app.inject({ method: 'POST', url, headers, payload: body });
  return { status: answer.statusCode, body: answer.json(), headers: answer.headers };
}

it('answers a repetition with the same status and body, and makes nothing', async () => {
  const first = await post('k');
  expect(first).toMatchObject({ status: 201, body: { secret: 'secret 1' } });
  expect(first.headers).not.toHaveProperty('idempotent-replayed');
  const again = await post('k');
  expect(again).toMatchObject({ status: 201, body: first.body, headers: { 'idempotent-replayed': 'true' } });
  expect(again.headers['content-type']).toBe(first.headers['content-type']);
  expect(made).toBe(1);
});

it('makes a thing for each request without a key, and for each key', async () => {
  for (const key of [undefined, undefined, 'k', 'l']) await post(key);
  expect(made).toBe(4);
});

it('refuses the same key for another body, and for another route', async () => {
  await post('k');
  expect(await post('k', { a: 2 })).toMatchObject({ status: 409, body: { code: 'idempotency_mismatch' } });
  expect(await post('k', { a: 1 }, '/agents/x/things')).toMatchObject({ status: 409 });
  expect(await post('not a key')).toMatchObject({ status: 422 });
  expect(made).toBe(1);
});

it('makes one thing of two requests at the same time', async () => {
  mayEnd = Promise.withResolvers();
  const both = [post('k'), post('k')];
  await eventually(() => made === 1, { what: 'the first request to act' });
  mayEnd.resolve();
  expect((await Promise.all(both)).map(({ body }) => body)).toEqual([{ secret: 'secret 1' }, { secret: 'secret 1' }]);
  expect(made).toBe(1);
});

it.each([new ControlError('conflict', 'taken'), new TypeError('a bug')])(
  'does not keep a failure: %s',
  async (error) => {
    trouble.handler = error;
    expect((await post('k')).status).toBeGreaterThanOrEqual(400);
    trouble = {};
    expect(await post('k')).toMatchObject({ status: 201, body: { secret: 'secret 2' } });
  },
);

it('keeps an answer that could only not be recorded', async () => {
  trouble.audit = new Error('the audit log is full');
  expect(await post('k')).toMatchObject({ status: 500 });
  trouble = {};
  expect(await post('k')).toMatchObject({ status: 201, body: { secret: 'secret 1' } });
  expect(made).toBe(1);
});

it('answers again only who would still be let', async () => {
  await post('k');
  actor = { ...ADMIN, grants: actorWith([['agent.read'], '']).grants };
  expect(await post('k')).toMatchObject({ status: 403, body: { code: 'forbidden' } });
  actor = { ...ADMIN, grants: actorWith([['admin.agents', 'agent.read'], 'site=lab']).grants };
  await post('l', {}, '/agents/x/things');
  expect(await post('l', {}, '/agents/x/things')).toMatchObject({ status: 202, body: { made: 2 } });
  actor = { ...ADMIN, grants: actorWith([['admin.agents', 'agent.read'], 'site=home']).grants };
  expect(await post('l', {}, '/agents/x/things')).toMatchObject({ status: 404 });
});

it('keeps the answer to a client that has gone', async () => {
  mayEnd = Promise.withResolvers();
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const gone = new AbortController();
  const headers = { 'idempotency-key': 'k', 'content-type': 'application/json' };
  const lost = fetch(`${url}/things`, { method: 'POST', headers, body: '{"a":1}', signal: gone.signal });
  await eventually(() => made === 1, { what: 'the request to act' });
  gone.abort();
  await expect(lost).rejects.toThrow();
  mayEnd.resolve();
  expect(await post('k')).toMatchObject({ status: 201, body: { secret: 'secret 1' } });
});

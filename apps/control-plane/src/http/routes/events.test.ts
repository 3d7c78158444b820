import fastify from 'fastify';
import type { FastifyInstance } from 'fastify';
import { validatorCompiler } from 'fastify-type-provider-zod';
import { once } from 'node:events';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { eventually } from '@drawbridge/testkit';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ADMIN } from '../../control-plane-fixture.ts';
import { EventsFixture } from '../../events/events-fixture.ts';
import { EVENT_LIMITS } from '../../events/limits.ts';
import type { Actor } from '../../operators/actor.ts';
import { actorWith } from '../../operators/people-fixture.ts';
import { installErrorHandler } from '../error-handler.ts';
import { guardAnswers } from '../permit.ts';
import { eventRoutes } from './events.ts';

let events: EventsFixture;
let app: FastifyInstance;
let url: string;
let actor: Actor;
beforeEach(async () => {
  events = await EventsFixture.make();
  actor = ADMIN;
  app = fastify({ forceCloseConnections: true });
  app.setValidatorCompiler(validatorCompiler);
  installErrorHandler(app);
  app.decorateRequest('actor', undefined);
  app.addHook('onRequest', async (asked) => {
    asked.actor = actor;
  });
  guardAnswers(app, { record: () => Promise.resolve() });
  await app.register(eventRoutes(events.streams, events.control.clock));
  url = await app.listen({ host: '127.0.0.1', port: 0 });
});
afterEach(async () => {
  await app.close();
  await events[Symbol.asyncDispose]();
});

/** An answer whose body is read only when the test says so. */
async function open(path = '/events', headers: Record<string, string> = {}): Promise<IncomingMessage> {
  const asked = request(`${url}${path}`, { headers, agent: false });
  asked.on('error', () => undefined);
  asked.end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  return response.on('error', () => undefined);
}

/** What has come so far. */
function reading(response: IncomingMessage): () => string {
  let text = '';
  response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  return () => text;
}

it('streams at once, for browsers, past proxies that buffer', async () => {
  const response = await open();
  expect(response.statusCode).toBe(200);
  expect(response.headers).toMatchObject({
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store, no-transform',
    'x-accel-buffering': 'no',
  });
  const text = reading(response);
  await eventually(() => /^retry: 2000\n\n: alive\nid: [0-9a-f]{12}-\d+\n\n$/.test(text()), { what: 'the head' });
  const agentId = await events.control.addAgent();
  await events.control.attach(agentId);
  await eventually(() => text().includes('event: agent.online\n'), { what: 'the event' });
  const [, id = '', type, data = ''] = /\nid: (\S+)\nevent: (\S+)\ndata: (.+)\n\n$/.exec(text()) ?? [];
  expect([type, JSON.parse(data)]).toMatchObject(['agent.online', { id, resource: `agent:${agentId}` }]);
  response.destroy();
});

it.each([
  ['the header', (id: string) => open('/events?types=agent', { 'last-event-id': id })],
  ['the query', (id: string) => open(`/events?types=agent&last_event_id=${id}`)],
])('goes on after the id in %s', async (_name, openAt) => {
  const id = events.control.parts.feed.idOf(0);
  await events.control.attach(await events.control.addAgent());
  const response = await openAt(id);
  const text = reading(response);
  await eventually(() => text().includes('agent.online'), { what: 'the event that was missed' });
  response.destroy();
});

it('refuses what it does not know, who may see nothing, and one stream too many', async () => {
  expect((await open('/events?types=agent,weather')).statusCode).toBe(422);
  actor = actorWith([['metrics.read'], '']);
  expect((await open()).statusCode).toBe(403);
  actor = actorWith([['task.read'], 'site=lab']);
  const streams = await Promise.all(Array.from({ length: EVENT_LIMITS.streamsPerActorMax }, () => open()));
  expect((await open()).statusCode).toBe(429);
  for (const stream of streams) stream.destroy();
  await eventually(async () => (await open()).statusCode === 200, { what: 'a place to be given back' });
});

it('cuts off a reader that takes nothing', async () => {
  actor = (await events.people.person('ann', 'viewer')).actor;
  const response = await open();
  response.pause();
  const { publish } = events.control.parts;
  const data = { filler: 'x'.repeat(60_000) };
  let isClosed = false;
  response.once('close', () => (isClosed = true));
  await eventually(() => events.people.access.size === 1, { what: 'the stream to begin' });
  for (let sent = 0; sent < 400; sent += 1) publish({ type: 'agent.changed', resource: 'agent:x', data });
  // When the stream stalls is for sockets to say: time passes until it has been cut off.
  await eventually(
    async () => {
      await events.control.clock.advance(EVENT_LIMITS.stalledMs / 10);
      return events.people.access.size === 0;
    },
    { what: 'the stream to end' },
  );
  response.resume();
  await eventually(() => isClosed, { what: 'the reader to be cut off' });
});

it('says why it ends', async () => {
  const ann = await events.people.person('ann', 'viewer');
  actor = ann.actor;
  const response = await open();
  const text = reading(response);
  await eventually(() => text().includes('alive'), { what: 'the head' });
  await events.people.sessions.end(ann.session);
  await once(response, 'end');
  expect(text()).toMatch(/event: error\ndata: \{"code":"unauthenticated",.*\}\n\n$/);
});

import { ControlError } from '@drawbridge/protocol';
import { eventually } from '@drawbridge/testkit';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ADMIN, taskStart } from '../control-plane-fixture.ts';
import { actorWith } from '../operators/people-fixture.ts';
import { EventsFixture, typesOf } from './events-fixture.ts';
import type { Reader } from './events-fixture.ts';
import { EVENT_LIMITS } from './limits.ts';

let events: EventsFixture;
beforeEach(async () => {
  events = await EventsFixture.make();
});
afterEach(() => events[Symbol.asyncDispose]());

/** What a reader was told, once it is this; the greeting and later signs of life left out. */
async function told(reader: Reader, types: readonly string[]): Promise<void> {
  await eventually(() => expect(typesOf(reader.items).filter((type) => type !== 'alive')).toEqual(types) ?? true, {
    what: types.join(', '),
  });
}

function connect(agentId: string) {
  return events.control.attach(agentId);
}

/** Many events about an agent that is not there. */
function flood(count: number): void {
  const { publish } = events.control.parts;
  const event = { type: 'agent.online', resource: 'agent:x', agentId: 'x', data: {} } as const;
  for (let index = 0; index < count; index += 1) publish(event);
}

it('tells what becomes of an agent, a command and a task, in order, and nothing of what is in them', async () => {
  const { actor } = await events.people.person('ann', 'admin');
  const reader = events.follow(actor, { topics: ['agent', 'command', 'task'] });
  const agentId = await events.control.addAgent();
  const command = await events.control.create(agentId, taskStart('echo secret-word'));
  await events.control.parts.commands.cancel(command.id);
  await events.control.disconnect(await connect(agentId));
  await told(reader, ['command.created', 'command.changed', 'agent.online', 'agent.offline']);
  expect(reader.items[2]).toMatchObject({
    kind: 'event',
    event: {
      resource: `command:${command.id}`,
      agent_id: agentId,
      data: { state: 'cancelled', operation: 'task.start' },
    },
  });
  expect(JSON.stringify(reader.items)).not.toContain('secret-word');
});

it('tells only of agents that the reader may see, by their labels of now', async () => {
  const { actor } = await events.people.person('ann', 'viewer', 'site=lab');
  const reader = events.follow(actor);
  const [lab, home] = [await events.control.addAgent('lab'), await events.control.addAgent('home')];
  await events.label(lab, { site: 'lab' });
  await events.label(home, { site: 'home' });
  await connect(home);
  const link = await connect(lab);
  await told(reader, ['agent.changed', 'agent.online']);
  await events.label(lab, { site: 'home' });
  await events.control.disconnect(link);
  await events.label(home, { site: 'lab' });
  await told(reader, ['agent.changed', 'agent.online', 'agent.changed']);
  expect(reader.items.at(-1)).toMatchObject({ event: { agent_id: home } });
});

it('does not tell of commands to those who may not look at commands', async () => {
  const reader = events.follow((await events.people.person('ann', 'viewer')).actor);
  const agentId = await events.control.addAgent();
  await events.control.create(agentId);
  await connect(agentId);
  await told(reader, ['agent.online']);
});

it('tells of users, roles and tokens to those alone who look after users', async () => {
  const admin = events.follow((await events.people.person('root2', 'admin')).actor, {
    topics: ['user', 'role', 'token'],
  });
  const ann = await events.people.person('ann', 'viewer');
  const viewer = events.follow(ann.actor, { topics: ['user', 'role', 'token'] });
  await events.people.roles.create({ name: 'r', description: '', verbs: ['agent.read'] }, ADMIN);
  await events.people.users.update(ann.user.id, { name: 'anna' }, ADMIN);
  const wanted = { name: 'ci', verbs: null, selector: '', expiresInSeconds: 60 };
  const token = await events.people.tokens.issue(wanted, ann.actor);
  await events.people.tokens.revoke(token.id);
  await told(admin, ['user.created', 'role.created', 'user.changed', 'token.created', 'token.revoked']);
  expect(JSON.stringify(admin.items)).not.toContain(token.token);
  await told(viewer, []);
});

it('ends within a second when the session ends, with a word why', async () => {
  const { actor, session } = await events.people.person('ann', 'viewer');
  const reader = events.follow(actor);
  await eventually(() => reader.items.length === 1, { what: 'the greeting' });
  await events.people.sessions.end(session);
  await reader.ended;
  expect(reader.items.at(-1)).toMatchObject({ kind: 'error', code: 'unauthenticated' });
  expect(events.people.access.size).toBe(0);
});

it('says that rights have changed, and goes on with the new ones', async () => {
  const { actor, user } = await events.people.person('ann', 'viewer', 'site=lab');
  const reader = events.follow(actor);
  const agentId = await events.control.addAgent();
  await eventually(() => reader.items.length === 1, { what: 'the greeting' });
  await events.people.users.update(user.id, { roles: [{ role: 'viewer', selector: '' }] }, ADMIN);
  await told(reader, ['access']);
  await connect(agentId);
  await told(reader, ['access', 'agent.online']);
});

it('goes on after the last event that a reader has seen', async () => {
  const { actor } = await events.people.person('ann', 'viewer');
  const first = events.follow(actor);
  const agentId = await events.control.addAgent();
  const link = await connect(agentId);
  await told(first, ['agent.online']);
  const last = first.items.at(-1);
  first.over.abort(new Error('gone'));
  await events.control.disconnect(link);
  await connect(agentId);
  const second = events.follow(actor, { lastEventId: last !== undefined && 'lastId' in last ? last.lastId : '' });
  await told(second, ['agent.offline', 'agent.online']);
});

it.each(['nonsense', 'ffffffffffff-1', '-1'])('begins with reset when it does not know %s', async (lastEventId) => {
  const reader = events.follow(ADMIN, { lastEventId });
  await told(reader, ['reset']);
  await connect(await events.control.addAgent());
  await told(reader, ['reset', 'agent.online']);
});

it('begins with reset when what was missed is not there any more, or was never there', async () => {
  const { actor } = await events.people.person('ann', 'viewer');
  const { feed } = events.control.parts;
  const id = feed.idOf(0);
  flood(1);
  await told(events.follow(actor, { lastEventId: id }), []);
  flood(EVENT_LIMITS.eventsKept);
  await told(events.follow(actor, { lastEventId: id }), ['reset']);
  await told(events.follow(actor, { lastEventId: feed.idOf(feed.newest + 1) }), ['reset']);
  const late = feed.idOf(feed.newest - 1);
  await events.control.clock.advance(EVENT_LIMITS.eventsKeptMs + 1);
  await told(events.follow(actor, { lastEventId: late }), ['reset']);
});

it('keeps nothing for a reader that does not read, and says reset when its place is gone', async () => {
  const over = new AbortController();
  const request = { actor: ADMIN, topics: new Set<never>(), lastEventId: undefined };
  const slow = events.streams.follow(request, over.signal)[Symbol.asyncIterator]();
  await slow.next();
  flood(EVENT_LIMITS.eventsKept + 1);
  expect(await slow.next()).toMatchObject({ value: { kind: 'reset' } });
  const agentId = await events.control.addAgent();
  await connect(agentId);
  expect(await slow.next()).toMatchObject({ value: { kind: 'event', event: { agent_id: agentId } } });
  over.abort(new Error('gone'));
  await slow.return?.();
});

it('says that it is alive, also while there are only events for others', async () => {
  const reader = events.follow((await events.people.person('ann', 'viewer', 'site=lab')).actor);
  await eventually(() => reader.items.length === 1, { what: 'the greeting' });
  for (let beat = 0; beat < 3; beat += 1) {
    flood(1);
    await events.control.clock.advance(EVENT_LIMITS.heartbeatMs / 2);
  }
  await eventually(() => reader.items.length >= 2, { what: 'a sign of life' });
  const [greeting, sign] = reader.items;
  expect([greeting, sign]).toMatchObject([{ kind: 'alive' }, { kind: 'alive' }]);
  // What was passed over is not looked at again after a loss.
  expect(sign).not.toEqual(greeting);
});

it('lets nobody follow without end, and gives places back', async () => {
  const readers = Array.from({ length: EVENT_LIMITS.streamsPerActorMax }, () => events.follow(ADMIN));
  expect(() => events.follow(ADMIN)).toThrow(ControlError);
  events.follow(actorWith([['agent.read'], '']));
  readers[0]?.over.abort(new Error('gone'));
  expect(() => events.follow(ADMIN)).not.toThrow();
});

it('leaves no timer and no watched behind', async () => {
  const reader = events.follow(ADMIN);
  await eventually(() => reader.items.length === 1, { what: 'the greeting' });
  reader.over.abort(new Error('gone'));
  await reader.ended;
  expect(events.people.access.size).toBe(0);
  // The look of AccessWatch is the one that is left.
  expect(events.control.clock.pending).toBe(1);
});

import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { eventually, startTask, TestAgent, TestControlPlane } from '@drawbridge/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ask } from './edge-requests.ts';

/** What is open ends this long after the right to it, at most. */
const CUT_MS_MAX = 1_000;
const PASSWORD = 'correct horse battery';
const Made = z.object({ id: z.string() });
const Session = z.object({ token: z.string() });
const Token = z.object({ id: z.string(), token: z.string() });
const Items = z.object({ items: z.array(z.object({ id: z.string() })) });

const parts = new AsyncDisposableStack();
let plane: TestControlPlane;
let dev: TestAgent;
let prod: TestAgent;
beforeAll(async () => {
  plane = parts.use(await TestControlPlane.start());
  const reconnection = { base_delay: 0.05, max_delay: 0.2 };
  const config = { reconnection };
  dev = parts.use(await TestAgent.start({ controlPlane: plane, name: 'dev', labels: { env: 'dev' }, config }));
  prod = parts.use(await TestAgent.start({ controlPlane: plane, name: 'prod', labels: { env: 'prod' }, config }));
});
afterAll(() => parts.disposeAsync());

/** Somebody with their roles, signed in as a program is. */
class Person {
  readonly name: string;
  readonly id: string;
  readonly token: string;

  private constructor(name: string, id: string, token: string) {
    this.name = name;
    this.id = id;
    this.token = token;
  }

  static async make(name: string, role: string, selector = ''): Promise<Person> {
    const made = await plane.api('POST', '/api/v1/users', { name, password: PASSWORD, roles: [{ role, selector }] });
    const signedIn = await plane.api('POST', '/api/v1/sessions', { user: name, password: PASSWORD });
    return new Person(name, Made.parse(made.body).id, Session.parse(signedIn.body).token);
  }

  api(method: string, path: string, body?: unknown) {
    return plane.api(method, `/api/v1${path}`, body, { authorization: `Bearer ${this.token}` });
  }

  /** As the admin changes them. */
  change(body: unknown) {
    return plane.api('PATCH', `/api/v1/users/${this.id}`, body);
  }
}

/** An answer that goes on until somebody ends it. */
interface Open {
  readonly text: () => string;
  /** The text, once it has ended; fails when that is not within the second. */
  readonly ended: () => Promise<string>;
  readonly close: () => void;
}

async function follow(token: string, path: string): Promise<Open> {
  const request = httpRequest(new URL(`/api/v1${path}`, plane.url), {
    headers: { authorization: `Bearer ${token}` },
    agent: false,
  });
  request.end();
  const [response] = await once(request, 'response');
  if (response.statusCode !== 200) throw new Error(`${path}: ${response.statusCode}`);
  let text = '';
  let isOver = false;
  response.on('data', (chunk: Buffer) => (text += chunk.toString()));
  response.on('error', () => undefined);
  response.once('close', () => (isOver = true));
  return {
    text: () => text,
    ended: async () => {
      await eventually(() => isOver, { what: `the end of ${path}`, timeoutMs: CUT_MS_MAX });
      return text;
    },
    close: () => request.destroy(),
  };
}

/** Follows the task's output and the events as `token`, until both have been heard. */
async function followBoth(token: string, taskId: string) {
  const output = await follow(token, `/tasks/${taskId}/output?follow=true`);
  const events = await follow(token, '/events');
  await eventually(() => output.text().includes('begun'), { what: 'the first line', timeoutMs: 30_000 });
  return { output, events };
}

describe('three people', () => {
  let ann: Person;
  let bob: Person;
  let eve: Person;
  beforeAll(async () => {
    ann = await Person.make('ann-admin', 'admin');
    bob = await Person.make('bob-of-dev', 'operator', 'env=dev');
    eve = await Person.make('eve-viewer', 'viewer', 'env=prod');
  });

  it('see the agents of their scope, and run what they may', async () => {
    const seen = async (who: Person) => Items.parse((await who.api('GET', '/agents')).body).items.map(({ id }) => id);
    expect((await seen(ann)).toSorted()).toEqual([dev.agentId, prod.agentId].toSorted());
    expect(await seen(bob)).toEqual([dev.agentId]);
    expect(await seen(eve)).toEqual([prod.agentId]);
    const run = (who: Person, agent: TestAgent) =>
      who.api('POST', '/tasks', { agent_id: agent.agentId, provider: 'shell', instructions: 'true' });
    const statuses = async (who: Person) => [(await run(who, dev)).status, (await run(who, prod)).status];
    expect(await statuses(ann)).toEqual([201, 201]);
    expect(await statuses(bob)).toEqual([201, 404]);
    expect(await statuses(eve)).toEqual([404, 403]);
  });

  it('hear of what is in their scope as it happens, and of nothing else', async () => {
    const feeds = await Promise.all([ann, bob, eve].map((who) => follow(who.token, '/events?types=task')));
    for (const agent of [dev, prod]) await startTask(plane, { agent: agent.name, instructions: 'true' });
    const [all, ofDev, ofProd] = feeds;
    await eventually(() => [dev, prod].every(({ agentId }) => all?.text().includes(agentId)), { what: 'both' });
    await eventually(() => ofDev?.text().includes(dev.agentId), { what: 'dev' });
    await eventually(() => ofProd?.text().includes(prod.agentId), { what: 'prod' });
    expect(ofDev?.text()).not.toContain(prod.agentId);
    expect(ofProd?.text()).not.toContain(dev.agentId);
    for (const feed of feeds) feed.close();
  });
});

describe('what is open', () => {
  /** It says something and then does not end by itself. */
  let taskId: string;
  beforeAll(async () => {
    taskId = (await startTask(plane, { agent: dev.name, instructions: 'echo begun; sleep 600' })).id;
  });
  afterAll(() => plane.api('POST', `/api/v1/tasks/${taskId}/cancel`));

  it('stops to show an agent’s output and events within a second when a role is taken away', async () => {
    const who = await Person.make('loses-a-role', 'viewer');
    const { output, events } = await followBoth(who.token, taskId);
    expect((await who.change({ roles: [{ role: 'viewer', selector: 'env=prod' }] })).status).toBe(200);
    await output.ended();
    // The events of everything else go on.
    await startTask(plane, { agent: prod.name, instructions: 'true' });
    await eventually(() => events.text().includes(prod.agentId), { what: 'an event of prod' });
    const before = events.text().length;
    await startTask(plane, { agent: dev.name, instructions: 'true' });
    await startTask(plane, { agent: prod.name, instructions: 'true' });
    await eventually(() => events.text().slice(before).includes(prod.agentId), { what: 'another event of prod' });
    expect(events.text().slice(before)).not.toContain(dev.agentId);
    events.close();
  });

  it('stops when an agent’s labels take it out of reach', async () => {
    const who = await Person.make('loses-an-agent', 'viewer', 'team=a');
    await plane.api('PATCH', `/api/v1/agents/${dev.agentId}`, { labels: { team: 'a' } });
    const { output, events } = await followBoth(who.token, taskId);
    await plane.api('PATCH', `/api/v1/agents/${dev.agentId}`, { labels: { team: null } });
    await output.ended();
    events.close();
  });

  it.each<[what: string, end: (who: Person, token: z.infer<typeof Token>) => Promise<unknown>]>([
    ['the user is disabled', (who) => who.change({ disabled: true })],
    ['the user is removed', (who) => plane.api('DELETE', `/api/v1/users/${who.id}`)],
    ['the token is revoked', (_who, { id }) => plane.api('DELETE', `/api/v1/tokens/${id}`)],
  ])('of a token ends within a second when %s', async (what, end) => {
    const who = await Person.make(`t-${what.replaceAll(' ', '-')}`, 'viewer');
    const wanted = { name: 'follower', verbs: 'all', expires_in_seconds: 3600 };
    const token = Token.parse((await who.api('POST', '/tokens', wanted)).body);
    const { output, events } = await followBoth(token.token, taskId);
    await end(who, token);
    await output.ended();
    expect(await events.ended()).toMatch(/event: error\r?\n?.*unauthenticated/s);
  });

  it.each<[what: string, end: (who: Person) => Promise<unknown>]>([
    ['the user is disabled', (who) => who.change({ disabled: true })],
    ['somebody signs them out everywhere', (who) => plane.api('DELETE', `/api/v1/users/${who.id}/sessions`)],
    ['they sign out everywhere', (who) => who.api('DELETE', '/sessions')],
    ['they sign out here', (who) => who.api('DELETE', '/sessions/current')],
    ['their password is set', (who) => who.change({ password: 'another horse battery' })],
  ])('of a session ends within a second when %s', async (what, end) => {
    const who = await Person.make(`s-${what.replaceAll(' ', '-')}`, 'viewer');
    const { output, events } = await followBoth(who.token, taskId);
    await end(who);
    await output.ended();
    expect(await events.ended()).toMatch(/unauthenticated/);
    expect(
      (await ask(plane, { path: '/api/v1/whoami', headers: { authorization: `Bearer ${who.token}` } })).status,
    ).toBe(401);
  });
});

describe('what waits for an agent', () => {
  it.each<[what: string, lose: (who: Person) => Promise<unknown>]>([
    ['has lost the role', (who) => who.change({ roles: [{ role: 'viewer', selector: '' }] })],
    ['has lost the agent', (who) => who.change({ roles: [{ role: 'operator', selector: 'env=dev' }] })],
    ['is disabled', (who) => who.change({ disabled: true })],
    ['is gone', (who) => plane.api('DELETE', `/api/v1/users/${who.id}`)],
  ])('is not delivered when whoever asked for it %s', async (what, lose) => {
    const who = await Person.make(`q-${what.replaceAll(' ', '-')}`, 'operator');
    await prod.stop();
    await eventually(async () => (await plane.api('GET', `/api/v1/agents/${prod.agentId}`)).body, {
      what: 'the agent to be away',
      until: (agent) => z.object({ status: z.string() }).parse(agent).status === 'offline',
    });
    const queued = { agent_id: prod.agentId, provider: 'shell', instructions: 'true', queue_if_offline: true };
    const task = Made.parse((await who.api('POST', '/tasks', queued)).body);
    const ping = { operation: 'agent.ping', queue_if_offline: true };
    const command = Made.parse((await who.api('POST', `/agents/${prod.agentId}/commands`, ping)).body);
    // One second is how long a command is taken for just authorised.
    await eventually(() => Date.now() - madeMs(task.id) > 1_100, { what: 'a second to pass' });
    await lose(who);
    await prod.launch();
    await prod.waitUntilUp();
    const ended = async (path: string) => (await plane.api('GET', `/api/v1${path}`)).body;
    const isFailed = (body: unknown) => z.object({ state: z.string() }).parse(body).state === 'failed';
    const wait = { what: 'a refusal', until: isFailed, timeoutMs: 30_000 };
    expect(await eventually(() => ended(`/tasks/${task.id}`), wait)).toMatchObject({ error: { code: 'forbidden' } });
    expect(await eventually(() => ended(`/commands/${command.id}`), wait)).toMatchObject({
      error: { code: 'forbidden' },
    });
    expect(JSON.stringify(prod.logs)).not.toContain(task.id);
    const records = await plane.api('GET', `/api/v1/audit?agent=${prod.agentId}&result=denied`);
    expect(JSON.stringify(records.body)).toContain(command.id);
  });
});

/** When something was made: its id says so (UUIDv7). */
function madeMs(id: string): number {
  return Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16);
}

import { setTimeout as sleep } from 'node:timers/promises';
import { DrawbridgeClient } from '@drawbridge/client';
import type { FollowedEvent } from '@drawbridge/client';
import { eventually, runTask, TestAgent, TestControlPlane } from '@drawbridge/testkit';
import { expect, it } from 'vitest';

const RETRY = {
  sleep: (delayMs: number, signal?: AbortSignal) => sleep(delayMs, undefined, signal === undefined ? {} : { signal }),
  nowMs: () => performance.now(),
  patienceMs: 60_000,
};

/** Follows until it is disposed, and keeps what it is told. */
function follow(controlPlane: TestControlPlane, token: string = controlPlane.token) {
  const over = new AbortController();
  const seen: FollowedEvent[] = [];
  let failure: unknown;
  const client = new DrawbridgeClient({ url: controlPlane.url, token, fetch });
  const read = async () => {
    for await (const item of client.followEvents({ types: ['agent', 'task'] }, RETRY, over.signal)) seen.push(item);
  };
  const ended = read().catch((error: unknown) => {
    failure = error;
  });
  return {
    seen,
    ended,
    get failure() {
      return failure;
    },
    types: () => seen.map((item) => (item.kind === 'event' ? item.event.type : item.kind)),
    async [Symbol.asyncDispose]() {
      over.abort(new Error('the test is over'));
      await ended;
    },
  };
}

it('tells a program what happens, and to read anew after a crash of the control plane', async () => {
  await using controlPlane = await TestControlPlane.start();
  await using feed = follow(controlPlane);
  await using agent = await TestAgent.start({ controlPlane });
  const told = (types: readonly string[]) =>
    eventually(() => expect(feed.types()).toEqual(expect.arrayContaining([...types])) ?? true, {
      what: types.join(', '),
      timeoutMs: 20_000,
    });
  await told(['agent.enrolled', 'agent.online']);
  const task = await runTask(controlPlane, { agent: agent.name, instructions: 'echo hello' });
  await told(['task.created', 'task.changed']);
  const states = () =>
    feed.seen.flatMap((item) =>
      item.kind === 'event' && item.event.resource === `task:${task.id}` ? [item.event.data['state']] : [],
    );
  await eventually(() => states().at(-1) === 'succeeded', { what: 'the end of the task' });
  expect(states()).toEqual(['queued', 'starting', 'running', 'succeeded']);
  expect(JSON.stringify(feed.seen)).not.toContain('hello');

  await controlPlane.kill9();
  await controlPlane.launch();
  await controlPlane.waitUntilUp();
  await told(['reset']);
  // Whether the agent or the reader comes back first is left open: what happens from now on is told.
  const isBack = async () => (await controlPlane.api('GET', `/api/v1/agents/${agent.name}`)).body;
  await eventually(isBack, {
    what: 'the agent to come back',
    until: (body) => Object(body).status === 'online',
    timeoutMs: 30_000,
  });
  await runTask(controlPlane, { agent: agent.name, instructions: 'true' });
  await eventually(() => feed.types().slice(feed.types().indexOf('reset')).includes('task.changed'), {
    what: 'the second task to be told',
  });
});

it('ends within seconds when the token it came with is revoked', async () => {
  await using controlPlane = await TestControlPlane.start();
  const wanted = { name: 'ci', verbs: ['agent.read'], expires_in_seconds: 600 };
  const { id, token } = (await controlPlane.api('POST', '/api/v1/tokens', wanted)).body as Record<string, string>;
  await using feed = follow(controlPlane, token);
  await using agent = await TestAgent.start({ controlPlane });
  await eventually(() => feed.types().includes('agent.online'), { what: agent.name });
  expect(await controlPlane.api('DELETE', `/api/v1/tokens/${id}`)).toMatchObject({ status: 204 });
  await eventually(() => feed.failure !== undefined, { what: 'the stream to end' });
  expect(feed.failure).toMatchObject({ code: 'unauthenticated' });
});

it('gives a secret that was shown once again to who asks again, also after a crash', async () => {
  await using controlPlane = await TestControlPlane.start();
  const key = { 'idempotency-key': 'make-it-once' };
  const first = await controlPlane.api('POST', '/api/v1/join-tokens', { uses: 2 }, key);
  await controlPlane.kill9();
  await controlPlane.launch();
  await controlPlane.waitUntilUp();
  const again = await controlPlane.api('POST', '/api/v1/join-tokens', { uses: 2 }, key);
  expect(again).toMatchObject({ status: 201, body: first.body });
  expect(await controlPlane.api('POST', '/api/v1/join-tokens', { uses: 3 }, key)).toMatchObject({
    status: 409,
    body: { code: 'idempotency_mismatch' },
  });
  const list = await controlPlane.api('GET', '/api/v1/join-tokens');
  expect(list.body).toMatchObject({ items: [{ uses: 2 }] });
});

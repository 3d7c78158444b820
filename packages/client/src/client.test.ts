import { expect, it } from 'vitest';
import { DrawbridgeClient } from './client.ts';
import { ApiError, UnreachableError } from './errors.ts';
import { answers, lineOf, newerAnswer, response } from './fetch-fixture.ts';
import type { ResponseLike } from './fetch.ts';
import { AGENT, SAMPLE, TASK, patience } from './samples-fixture.ts';

const URL_ = 'https://control.test';

function clientOf(...responses: (ResponseLike | Error)[]) {
  const { fetch, asked } = answers(...responses);
  return { client: new DrawbridgeClient({ url: URL_, token: 'dbt_x', fetch }), asked };
}

const NEW_TASK = { agent: 'a1', provider: 'shell', instructions: 'true' };
const unavailable = () => response(503, '{"code":"store_unavailable","message":"not now"}');

it('shows its token with every request, and says what it sends', async () => {
  const { client, asked } = clientOf(newerAnswer(AGENT), newerAnswer(AGENT), response(200));
  await client.getAgent('a1');
  await client.updateAgent('a1', {});
  await client.revokeAgent('a1');
  const authorization = 'Bearer dbt_x';
  expect(asked.map(({ init }) => init.headers)).toEqual([
    { authorization },
    { authorization, 'content-type': 'application/json' },
    { authorization },
  ]);
});

it('gives a list whole, page after page, with the same filter', async () => {
  const { client, asked } = clientOf(
    newerAnswer({ items: [AGENT], next_cursor: 'b&c' }),
    newerAnswer({ items: [{ ...AGENT, id: 'a2' }], next_cursor: null }),
  );
  expect((await client.listAgents({ status: 'online' })).map(({ id }) => id)).toEqual(['a1', 'a2']);
  expect(asked.map(lineOf)).toEqual([
    'GET /agents?limit=200&status=online',
    'GET /agents?limit=200&status=online&cursor=b%26c',
  ]);
});

it('asks for the next samples only when those before are taken', async () => {
  const { client, asked } = clientOf(
    newerAnswer({ items: [SAMPLE], next_cursor: 'c1' }),
    newerAnswer({ items: [{ ...SAMPLE, rtt_ms: 4 }], next_cursor: null }),
  );
  const samples = client.agentHealth('a1');
  await samples.next();
  expect(asked).toHaveLength(1);
  expect((await samples.next()).value).toMatchObject({ rtt_ms: 4 });
  expect(asked.map(lineOf)[1]).toBe('GET /agents/a1/health?limit=1000&cursor=c1');
  expect(await samples.next()).toEqual({ done: true, value: undefined });
});

it('makes a task once, however often it has to ask: under one key, and another for another task', async () => {
  const { client, asked } = clientOf(new Error('lost'), unavailable(), newerAnswer(TASK), newerAnswer(TASK));
  expect(await client.createTask(NEW_TASK, patience())).toEqual(TASK);
  await client.createTask(NEW_TASK, patience());
  const keys = asked.map(({ init }) => init.headers['idempotency-key']);
  expect(keys[0]).toMatch(/^[0-9a-f-]{36}$/);
  expect(keys).toEqual([keys[0], keys[0], keys[0], expect.not.stringMatching(String(keys[0]))]);
  expect(new Set(asked.slice(0, 3).map(lineOf)).size).toBe(1);
});

it('does not ask again for a task that was refused', async () => {
  const { client, asked } = clientOf(response(503, '{"code":"agent_offline","message":"agent a1 is offline"}'));
  await expect(client.createTask(NEW_TASK, patience())).rejects.toMatchObject({
    name: 'ApiError',
    code: 'agent_offline',
  });
  expect(asked).toHaveLength(1);
});

it('waits for a task until it has ended, over a control plane that is away meanwhile', async () => {
  const running = { ...TASK, state: 'running', ended_at: null };
  const { client, asked } = clientOf(newerAnswer(running), new Error('lost'), newerAnswer(running), newerAnswer(TASK));
  expect(await client.waitForTask('t1', patience())).toEqual(TASK);
  expect(asked).toHaveLength(4);
});

it('hands its signal to every request, and rejects with the reason', async () => {
  const stop = new AbortController();
  const { client, asked } = clientOf(newerAnswer(TASK), new Error('aborted'));
  await client.getTask('t1', stop.signal);
  stop.abort(new Error('enough'));
  await expect(client.waitForTask('t1', patience(), stop.signal)).rejects.toThrow('enough');
  expect(asked.map(({ init }) => init.signal)).toEqual([stop.signal, stop.signal]);
});

it('gives output as it comes', async () => {
  const { client } = clientOf(response(200, '', parts([Uint8Array.of(1, 2), Uint8Array.of(3)])));
  expect(await Array.fromAsync(client.readOutput('t1', 'output'))).toEqual([Uint8Array.of(1, 2), Uint8Array.of(3)]);
});

it('rejects with UnreachableError when output, or a backup, breaks off, and with the reason of its signal', async () => {
  const broken = () => response(200, '', parts([Uint8Array.of(1)], new TypeError('terminated')));
  const { client } = clientOf(broken(), broken(), broken());
  await expect(Array.fromAsync(client.readOutput('t1', 'output'))).rejects.toBeInstanceOf(UnreachableError);
  await expect(Array.fromAsync(client.takeBackup())).rejects.toBeInstanceOf(UnreachableError);
  const signal = AbortSignal.abort(new Error('enough'));
  await expect(Array.fromAsync(client.readOutput('t1', 'output', 0, signal))).rejects.toThrow('enough');
});

it('takes what is no task for no answer', async () => {
  const { client } = clientOf(newerAnswer({ ...TASK, state: 'sleeping' }));
  await expect(client.getTask('t1')).rejects.toBeInstanceOf(ApiError);
});

async function* parts(chunks: readonly Uint8Array[], failure?: Error): AsyncIterable<Uint8Array> {
  yield* chunks;
  if (failure !== undefined) throw failure;
}

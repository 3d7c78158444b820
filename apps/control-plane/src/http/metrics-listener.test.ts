import { createServer } from 'node:http';
import { once } from 'node:events';
import { Secret } from '@drawbridge/runtime';
import { listeningPort } from '@drawbridge/testkit';
import { memoryLog } from '@drawbridge/runtime/testing';
import { expect, it } from 'vitest';
import { Metrics } from '../observability/metrics.ts';
import { listenForMetrics } from './metrics-listener.ts';

async function listen(token?: Secret) {
  const { log, lines } = memoryLog();
  const { registry } = new Metrics();
  const listener = await listenForMetrics({ host: '127.0.0.1', port: 0, token, registry, log });
  const url = `http://127.0.0.1:${String(lines.at(-1)?.['port'])}`;
  const ask = (path: string, init: RequestInit = {}) => fetch(`${url}${path}`, init);
  return { ask, url, [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose]() };
}

it('serves the numbers, and nothing else', async () => {
  await using listener = await listen();
  const answer = await listener.ask('/metrics');
  expect(answer.headers.get('content-type')).toContain('text/plain');
  expect(await answer.text()).toContain('# TYPE drawbridge_ws_messages_total counter');
  const others = [listener.ask('/'), listener.ask('/metrics/x'), listener.ask('/metrics', { method: 'POST' })];
  expect((await Promise.all(others)).map(({ status }) => status)).toEqual([404, 404, 405]);
});

it('wants its token when it has one', async () => {
  await using listener = await listen(new Secret('right'));
  const as = async (authorization: string) => (await listener.ask('/metrics', { headers: { authorization } })).status;
  expect([await as(''), await as('Bearer wrong'), await as('Basic right'), await as('Bearer right')]).toEqual([
    401, 401, 401, 200,
  ]);
});

it('is gone when it is disposed, with whoever is connected, and disposing it twice is fine', async () => {
  const listener = await listen();
  await (await listener.ask('/metrics')).text();
  await listener[Symbol.asyncDispose]();
  await listener[Symbol.asyncDispose]();
  await expect(listener.ask('/metrics')).rejects.toThrow();
});

it('says which setting is wrong when the port is taken', async () => {
  const other = createServer();
  other.listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { log } = memoryLog();
  const { registry } = new Metrics();
  const listening = listenForMetrics({
    host: '127.0.0.1',
    port: listeningPort(other),
    token: undefined,
    registry,
    log,
  });
  await expect(listening).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('metrics.listen'),
  });
  other.close();
});

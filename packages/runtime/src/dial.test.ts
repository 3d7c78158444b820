import { FakeClock, eventually } from '@drawbridge/testkit';
import { createServer } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { DialHarness, roundTrip } from './dial-fixture.ts';
import type { DialOptions } from './dial.ts';
import { wsServerOptions } from './ws-server-options.ts';

let harness: DialHarness;
beforeEach(() => {
  harness = new DialHarness();
});
afterEach(() => harness[Symbol.asyncDispose]());

describe('failures', () => {
  it.each([
    [401, {}, undefined],
    [403, {}, undefined],
    [429, { 'retry-after': '12' }, 12_000],
    [503, { 'retry-after': 'Wed, 07 Jan 2026 10:01:00 GMT' }, 60_000],
    [503, { 'retry-after': 'soon' }, undefined],
    [200, {}, undefined],
  ])('hands on HTTP %i %j', async (status, headers, waitMs) => {
    const port = await harness.listen(
      createServer((_request, response) => response.writeHead(status, headers).end('no')),
    );
    const error = await harness.failure(`ws://127.0.0.1:${port}`, { clock: new FakeClock() });
    expect(error).toMatchObject({ kind: 'http', httpStatus: status, retryAfterMs: waitMs });
  });

  it('hangs up on a server that refuses without end', async () => {
    const port = await harness.listen(createServer((_request, response) => void response.writeHead(401).write('…')));
    expect(await harness.failure(`ws://127.0.0.1:${port}`)).toMatchObject({ httpStatus: 401 });
    await eventually(() => harness.connections === 0, { what: 'the connection to end' });
  });

  it('says http when the server speaks another subprotocol', async () => {
    const { port } = await harness.echo(createServer());
    expect(await harness.failure(`ws://127.0.0.1:${port}`, { subprotocol: 'other.v1' })).toMatchObject({
      kind: 'http',
    });
  });

  it('says refused when nobody listens', async () => {
    expect(await harness.failure('ws://127.0.0.1:1')).toMatchObject({ kind: 'refused' });
  });

  it('says refused when the server hangs up', async () => {
    const server = createServer();
    server.on('upgrade', (_request, socket) => socket.destroy());
    const port = await harness.listen(server);
    expect(await harness.failure(`ws://127.0.0.1:${port}`)).toMatchObject({ kind: 'refused' });
  });

  it('says dns when there is no such name', async () => {
    expect(await harness.failure('ws://no-such-host.invalid')).toMatchObject({ kind: 'dns' });
  });

  it('repeats neither user nor query of the address', async () => {
    const error = await harness.failure('ws://me:hunter2@127.0.0.1:1/?token=hunter2');
    expect(error.message).not.toContain('hunter2');
    expect((await harness.failure('me:hunter2@')).message).not.toContain('hunter2');
  });
});

describe('a server that says nothing', () => {
  /** It accepts TCP and stays silent. */
  async function silent() {
    const arrived = Promise.withResolvers<void>();
    const port = await harness.listen(
      createTcpServer((socket) => {
        socket.resume();
        arrived.resolve();
      }),
    );
    return { port, arrived: arrived.promise };
  }

  const URLS: [name: string, url: (port: number) => string, proxy: (port: number) => Partial<DialOptions>][] = [
    ['before TLS', (port) => `wss://127.0.0.1:${port}`, () => ({})],
    ['before the upgrade', (port) => `ws://127.0.0.1:${port}`, () => ({})],
    ['as a proxy', () => 'wss://control.test', (port) => ({ proxy: `http://127.0.0.1:${port}` })],
  ];

  it.each(URLS)('times out %s, and is hung up on', async (_name, url, proxy) => {
    const { port, arrived } = await silent();
    const clock = new FakeClock();
    const dialled = harness.failure(url(port), { ...proxy(port), timeoutMs: 10_000, clock });
    await arrived;
    await clock.advance(10_000);
    expect(await dialled).toMatchObject({ kind: 'timeout' });
    await eventually(() => harness.connections === 0, { what: 'the connection to end' });
    expect(clock.pending).toBe(0);
  });

  it.each(URLS)('can be given up on %s, with the reason of the signal', async (_name, url, proxy) => {
    const { port, arrived } = await silent();
    const clock = new FakeClock();
    const controller = new AbortController();
    const dialled = harness.dial(url(port), { ...proxy(port), clock }, controller.signal);
    await arrived;
    controller.abort(new Error('shutting down'));
    await expect(dialled).rejects.toThrow('shutting down');
    await eventually(() => harness.connections === 0, { what: 'the connection to end' });
    expect(clock.pending).toBe(0);
  });
});

it('is not started once its signal is aborted', async () => {
  await expect(harness.dial('ws://127.0.0.1:1', {}, AbortSignal.abort(new Error('stopped')))).rejects.toThrow(
    'stopped',
  );
});

it('leaves no deadline behind when it succeeds', async () => {
  const { port } = await harness.echo(createServer());
  const clock = new FakeClock();
  const socket = await harness.dial(`ws://127.0.0.1:${port}`, { clock });
  expect(clock.pending).toBe(0);
  const controller = new AbortController();
  await harness.dial(`ws://127.0.0.1:${port}`, { clock }, controller.signal);
  controller.abort(new Error('too late'));
  expect(await roundTrip(socket, 'still there')).toBe('still there');
});

it('loses nothing that the server says at once', async () => {
  const server = createServer();
  const wss = new WebSocketServer(wsServerOptions('link'));
  server.on('upgrade', (request, socket, head) => {
    wss.handleUpgrade(request, socket, head, (ws) => {
      ws.send('hello');
      ws.close(1008, '401 no');
    });
  });
  const url = `ws://127.0.0.1:${await harness.listen(server)}`;
  const socket = await harness.dial(url);
  // While another dial goes all the way, what the server said has long arrived.
  await harness.dial(url);
  const heard: unknown[] = [];
  socket.listen({ message: (message) => heard.push(message), closed: (end) => heard.push(end) });
  await eventually(() => heard.length === 2, { what: 'the message and the end' });
  expect(heard).toEqual(['hello', { code: 1008, reason: '401 no' }]);
});

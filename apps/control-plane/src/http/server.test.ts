import { once } from 'node:events';
import { TempDir, eventually, makePki } from '@drawbridge/testkit';
import { afterEach, expect, it } from 'vitest';
import { ServerHarness, untilClosed } from './server-fixture.ts';

let harness: ServerHarness;
afterEach(() => harness[Symbol.asyncDispose]());

it('bounds every wait and every size', async () => {
  harness = await ServerHarness.start();
  expect(harness.server).toMatchObject({
    headersTimeout: 10_000,
    requestTimeout: 30_000,
    keepAliveTimeout: 72_000,
    maxHeadersCount: 100,
    maxRequestsPerSocket: 10_000,
    maxConnections: 50_000,
  });
});

it('hangs up on who sends headers drop by drop, and on who sends nothing', async () => {
  harness = await ServerHarness.start();
  harness.server.headersTimeout = 20;
  const [slow, silent] = [await harness.connect(), await harness.connect()];
  slow.write('GET / HTTP/1.1\r\nHost: a.test\r\nX-Slow: ');
  const answers = await Promise.all([untilClosed(slow), untilClosed(silent)]);
  expect(answers.map((text) => text.split('\r\n')[0])).toEqual(Array(2).fill('HTTP/1.1 408 Request Timeout'));
});

it('takes headers of sixteen kibibytes and no more', async () => {
  harness = await ServerHarness.start();
  expect(await harness.get({ 'x-long': 'x'.repeat(15_000) })).toBe(200);
  expect(await harness.get({ 'x-long': 'x'.repeat(17_000) })).toBe(431);
});

it('keeps so many connections of one address, idle ones too, and takes another once one has gone', async () => {
  harness = await ServerHarness.start({ limits: { connections_per_address: 2 } });
  const [idle] = [await harness.connect(), await harness.connect()];
  expect(await untilClosed(await harness.connect())).toBe('');
  expect(harness.lines).toMatchObject([{ msg: 'too many connections', address: '127.0.0.1', dropped: 1 }]);
  idle?.destroy();
  await eventually(() => harness.get().catch(() => 0), { what: 'a place', until: (status) => status === 200 });
});

it('says a flood once in a thousand lines', async () => {
  harness = await ServerHarness.start({ limits: { connections_per_address: 1 } });
  await harness.connect();
  for (let index = 0; index < 5; index += 1) await untilClosed(await harness.connect());
  expect(harness.lines).toHaveLength(1);
});

it('does not count the crowd behind a proxy of ours as one', async () => {
  harness = await ServerHarness.start({
    limits: { connections_per_address: 1 },
    listen: { trusted_proxies: ['127.0.0.1'] },
  });
  await harness.connect();
  expect(await harness.get()).toBe(200);
});

it('does not count what has become a WebSocket', async () => {
  harness = await ServerHarness.start({ limits: { connections_per_address: 1 } });
  const upgraded = once(harness.server, 'upgrade');
  const socket = await harness.connect();
  socket.write('GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  const [, serverEnd] = await upgraded;
  expect(await harness.get()).toBe(200);
  serverEnd.destroy();
});

it('knows a WebSocket over TLS by the connection it came in on', async () => {
  await using dir = await TempDir.make();
  const { ca, server } = await makePki(dir.path);
  harness = await ServerHarness.start({
    limits: { connections_per_address: 1 },
    listen: { tls: { cert: server.certFile, key: server.keyFile } },
  });
  const upgraded = once(harness.server, 'upgrade');
  const socket = await harness.connectTls({ ca: ca.cert });
  await expect(harness.connectTls({ ca: ca.cert })).rejects.toThrow();
  socket.write('GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  const [, serverEnd] = await upgraded;
  expect((await harness.connectTls({ ca: ca.cert })).authorized).toBe(true);
  serverEnd.destroy();
});

it('keeps so many connections in all', async () => {
  harness = await ServerHarness.start({ limits: { connections: 1 }, listen: { trusted_proxies: ['127.0.0.1'] } });
  await harness.connect();
  expect(await untilClosed(await harness.connect())).toBe('');
  expect(harness.lines).toMatchObject([{ msg: 'too many connections' }]);
});

it('names a file that is no certificate', async () => {
  harness = await ServerHarness.start();
  const tls = { cert: '/no/such/cert.pem', key: '/no/such/key.pem' };
  await expect(ServerHarness.start({ listen: { tls } })).rejects.toMatchObject({
    code: 'invalid_request',
    message: 'listen.tls.cert: /no/such/cert.pem cannot be used: ENOENT',
  });
});

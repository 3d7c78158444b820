import { ConnectProxy, type Pki, TempDir, eventually, makePki } from '@drawbridge/testkit';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:https';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { DialHarness, roundTrip } from './dial-fixture.ts';

let dir: TempDir;
let pki: Pki;
beforeAll(async () => {
  dir = await TempDir.make();
  pki = await makePki(dir.path);
});
afterAll(() => dir[Symbol.asyncDispose]());

let harness: DialHarness;
beforeEach(() => {
  harness = new DialHarness();
});
afterEach(() => harness[Symbol.asyncDispose]());
const credentials = { user: 'me', password: 'p@ss:word' };

let proxies: ConnectProxy[];
beforeEach(() => {
  proxies = [];
});
afterEach(async () => {
  for (const proxy of proxies) await proxy[Symbol.asyncDispose]();
});

async function proxied(options = {}) {
  const proxy = await ConnectProxy.start(options);
  proxies.push(proxy);
  return proxy;
}

it('goes through it with credentials, and TLS is checked behind it', async () => {
  const { port } = await harness.echo(createServer({ cert: pki.server.cert, key: pki.server.key }));
  const proxy = await proxied({ credentials });
  const url = `wss://localhost:${port}`;
  const tls = { ca: pki.ca.cert, pin: pki.server.pin };
  expect(await roundTrip(await harness.dial(url, { proxy: proxy.url, tls }), 'hello')).toBe('hello');
  expect(proxy.targets).toEqual([`localhost:${port}`]);
  expect(await harness.failure(url, { proxy: proxy.url })).toMatchObject({ kind: 'tls' });
  expect(await harness.failure(url, { proxy: proxy.url, tls: { pin: pki.ca.pin } })).toMatchObject({ kind: 'pin' });
});

it('goes through it with a plain connection too', async () => {
  const { port } = await harness.echo(createHttpServer());
  const proxy = await proxied();
  expect(await roundTrip(await harness.dial(`ws://127.0.0.1:${port}`, { proxy: proxy.url }), 'hello')).toBe('hello');
  expect(proxy.tunnels).toBe(1);
});

it('goes round it for hosts of noProxy', async () => {
  const { port } = await harness.echo(createHttpServer());
  const proxy = await proxied();
  const more = { proxy: proxy.url, noProxy: '127.0.0.0/8' };
  expect(await roundTrip(await harness.dial(`ws://127.0.0.1:${port}`, more), 'hello')).toBe('hello');
  expect(proxy.tunnels).toBe(0);
});

it('says proxy, and no password, when the credentials are wrong', async () => {
  const proxy = await proxied({ credentials });
  const error = await harness.failure('wss://control.test', { proxy: `http://me:hunter2@127.0.0.1:${proxy.port}` });
  expect(error).toMatchObject({ kind: 'proxy', httpStatus: undefined });
  expect(error.message).toBe(`proxy 127.0.0.1:${proxy.port} answered 407 to CONNECT control.test:443`);
});

it('says proxy when nobody is there', async () => {
  const error = await harness.failure('wss://control.test', { proxy: 'http://me:hunter2@127.0.0.1:1' });
  expect(error.kind).toBe('proxy');
  expect(String(error)).not.toContain('hunter2');
});

it('says proxy, and no password, when its address is none', async () => {
  const error = await harness.failure('wss://control.test', { proxy: 'socks5://me:hunter2@127.0.0.1:1' });
  expect(error.kind).toBe('proxy');
  expect(error.message).not.toContain('hunter2');
});

it('passes on when a proxy wants to be left alone', async () => {
  const server = createHttpServer();
  server.on('connect', (_request, socket) => socket.end('HTTP/1.1 503 Busy\r\nRetry-After: 7\r\n\r\n'));
  const port = await harness.listen(server);
  const error = await harness.failure('ws://control.test', { proxy: `127.0.0.1:${port}` });
  expect(error).toMatchObject({ kind: 'proxy', retryAfterMs: 7_000 });
});

it('hangs up on a proxy that refuses', async () => {
  const server = createHttpServer();
  server.on('connect', (_request, socket) => {
    socket.write('HTTP/1.1 403 Forbidden\r\n\r\n');
    // It only hangs up when the other side does.
    socket.resume().on('end', () => socket.end());
  });
  const port = await harness.listen(server);
  expect(await harness.failure('ws://control.test', { proxy: `127.0.0.1:${port}` })).toMatchObject({ kind: 'proxy' });
  await eventually(() => harness.connections === 0, { what: 'the connection to end' });
});

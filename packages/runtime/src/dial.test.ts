import type { MessageSocket, SocketEnd } from '@drawbridge/link';
import { ConnectProxy, FakeClock, type Pki, TempDir, eventually, listeningPort, makePki } from '@drawbridge/testkit';
import { once } from 'node:events';
import { type IncomingMessage, type Server, createServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, type Socket, createServer as createTcpServer } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import type { DialError } from './dial-error.ts';
import { type DialOptions, dialWebSocket } from './dial.ts';
import { wsServerOptions } from './ws-server-options.ts';

const NEVER = new AbortController().signal;

let dir: TempDir;
let pki: Pki;
let closers: (() => Promise<void>)[];
let opened: MessageSocket[];

beforeAll(async () => {
  dir = await TempDir.make();
  pki = await makePki(dir.path);
});
afterAll(() => dir[Symbol.asyncDispose]());

beforeEach(() => {
  closers = [];
  opened = [];
});
afterEach(async () => {
  for (const socket of opened) {
    socket.terminate();
  }
  for (const close of closers) await close();
});

/** An echoing WebSocket server; `seen` are the requests it got. */
async function serve(server: Server) {
  const wss = new WebSocketServer(wsServerOptions('link'));
  const seen: IncomingMessage[] = [];
  server.on('upgrade', (request, socket, head) => {
    seen.push(request);
    wss.handleUpgrade(request, socket, head, (ws) => {
      ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
    });
  });
  return { port: await listen(server), seen };
}

async function listen(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(async () => {
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  });
  return listeningPort(server);
}

const serveTls = (certificate = pki.server, more = {}) =>
  serve(createHttpsServer({ cert: certificate.cert, key: certificate.key, ...more }));

async function dial(url: string, more: Partial<DialOptions> = {}, signal = NEVER): Promise<MessageSocket> {
  const options = { url, subprotocol: 'drawbridge.v1', timeoutMs: 5_000, maxPayloadBytes: 65_536, env: {}, ...more };
  const socket = await dialWebSocket(options, signal);
  opened.push(socket);
  return socket;
}

/** What a dial fails with. */
const failure = (url: string, more: Partial<DialOptions> = {}) =>
  dial(url, more).then(
    () => expect.unreachable('the dial succeeded'),
    (error: DialError) => error,
  );

async function echo(socket: MessageSocket, message: string): Promise<string | Uint8Array> {
  const { promise, resolve, reject } = Promise.withResolvers<string | Uint8Array>();
  socket.listen({ message: resolve, closed: (end: SocketEnd) => reject(new Error(`closed ${end.code}`)) });
  socket.send(message);
  return promise;
}

describe('TLS', () => {
  it('trusts a certificate of the given CA and sends the headers', async () => {
    const { port, seen } = await serveTls();
    const socket = await dial(`wss://localhost:${port}/v1?a=b`, {
      tls: { ca: pki.ca.cert },
      headers: { authorization: 'Bearer dbk_1' },
    });
    expect(await echo(socket, 'hello')).toBe('hello');
    expect(seen[0]?.url).toBe('/v1?a=b');
    expect(seen[0]?.headers).toMatchObject({
      authorization: 'Bearer dbk_1',
      host: `localhost:${port}`,
      'sec-websocket-protocol': 'drawbridge.v1',
    });
    expect(seen[0]?.headers['sec-websocket-extensions']).toBeUndefined();
  });

  it('takes https for wss', async () => {
    const { port } = await serveTls();
    const socket = await dial(`https://127.0.0.1:${port}`, { tls: { ca: pki.ca.cert } });
    expect(await echo(socket, 'hello')).toBe('hello');
  });

  it.each<[why: string, kind: string, tls: () => DialOptions['tls']]>([
    ['a CA that nobody trusts', 'tls', () => ({})],
    ['another CA than the given one', 'tls', () => ({ ca: pki.client.cert })],
    ['a wrong pin under the right CA', 'pin', () => ({ ca: pki.ca.cert, pin: pki.impostor.pin })],
    ['a wrong pin alone', 'pin', () => ({ pin: pki.impostor.pin })],
    ['a wrong pin without verification', 'pin', () => ({ pin: pki.impostor.pin, verify: false })],
    ['the right pin under another CA', 'tls', () => ({ ca: pki.client.cert, pin: pki.server.pin })],
  ])('refuses %s before it says anything', async (_why, kind, tls) => {
    const { port, seen } = await serveTls();
    const error = await failure(`wss://localhost:${port}`, { tls: tls() });
    expect(error).toMatchObject({ name: 'DialError', kind });
    expect(seen).toEqual([]);
  });

  it.each<[why: string, tls: () => DialOptions['tls']]>([
    ['the right pin alone', () => ({ pin: pki.server.pin })],
    ['the right pin and the right CA', () => ({ ca: pki.ca.cert, pin: pki.server.pin })],
    ['any certificate without verification', () => ({ verify: false })],
  ])('takes %s', async (_why, tls) => {
    const { port } = await serveTls();
    expect(await echo(await dial(`wss://localhost:${port}`, { tls: tls() }), 'hello')).toBe('hello');
  });

  it('refuses a certificate for another name', async () => {
    const { port } = await serveTls(pki.client);
    expect(await failure(`wss://localhost:${port}`, { tls: { ca: pki.ca.cert } })).toMatchObject({ kind: 'tls' });
  });

  it('refuses TLS 1.1', async () => {
    const { port } = await serveTls(pki.server, {
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT:@SECLEVEL=0',
    });
    expect(await failure(`wss://localhost:${port}`, { tls: { verify: false } })).toMatchObject({ kind: 'tls' });
  });

  it.each(['TLSv1.2', 'TLSv1.3'])('shows its certificate to a server that demands one over %s', async (version) => {
    const { port } = await serveTls(pki.server, {
      requestCert: true,
      ca: pki.ca.cert,
      minVersion: version,
      maxVersion: version,
    });
    const { cert, key } = pki.client;
    const socket = await dial(`wss://localhost:${port}`, { tls: { ca: pki.ca.cert, cert, key } });
    expect(await echo(socket, 'hello')).toBe('hello');
    expect(await failure(`wss://localhost:${port}`, { tls: { ca: pki.ca.cert } })).toMatchObject({ kind: 'tls' });
  });

  it('says tls when its own key is broken', async () => {
    const { port } = await serveTls();
    const tls = { ca: pki.ca.cert, cert: 'no certificate', key: 'no key' };
    expect(await failure(`wss://localhost:${port}`, { tls })).toMatchObject({ kind: 'tls' });
  });

  it('says tls when the server does not speak it', async () => {
    const { port } = await serve(createServer());
    expect(await failure(`wss://localhost:${port}`)).toMatchObject({ kind: 'tls' });
  });
});

describe('proxy', () => {
  const credentials = { user: 'me', password: 'p@ss:word' };

  async function proxied(options = {}) {
    const proxy = await ConnectProxy.start(options);
    closers.unshift(() => proxy[Symbol.asyncDispose]());
    return proxy;
  }

  it('goes through it with credentials, and TLS is checked behind it', async () => {
    const { port } = await serveTls();
    const proxy = await proxied({ credentials });
    const url = `wss://localhost:${port}`;
    const tls = { ca: pki.ca.cert, pin: pki.server.pin };
    expect(await echo(await dial(url, { proxy: proxy.url, tls }), 'hello')).toBe('hello');
    expect(proxy.targets).toEqual([`localhost:${port}`]);
    expect(await failure(url, { proxy: proxy.url })).toMatchObject({ kind: 'tls' });
    expect(await failure(url, { proxy: proxy.url, tls: { pin: pki.ca.pin } })).toMatchObject({ kind: 'pin' });
  });

  it('goes through it with a plain connection too', async () => {
    const { port } = await serve(createServer());
    const proxy = await proxied();
    expect(await echo(await dial(`ws://127.0.0.1:${port}`, { proxy: proxy.url }), 'hello')).toBe('hello');
    expect(proxy.tunnels).toBe(1);
  });

  it('goes round it for hosts of noProxy', async () => {
    const { port } = await serve(createServer());
    const proxy = await proxied();
    const more = { proxy: proxy.url, noProxy: '127.0.0.0/8' };
    expect(await echo(await dial(`ws://127.0.0.1:${port}`, more), 'hello')).toBe('hello');
    expect(proxy.tunnels).toBe(0);
  });

  it('says proxy, and no password, when the credentials are wrong', async () => {
    const proxy = await proxied({ credentials });
    const error = await failure('wss://control.test', { proxy: `http://me:hunter2@127.0.0.1:${proxy.port}` });
    expect(error).toMatchObject({ kind: 'proxy', httpStatus: undefined });
    expect(error.message).toBe(`proxy 127.0.0.1:${proxy.port} answered 407 to CONNECT control.test:443`);
  });

  it('says proxy when nobody is there', async () => {
    const error = await failure('wss://control.test', { proxy: 'http://me:hunter2@127.0.0.1:1' });
    expect(error.kind).toBe('proxy');
    expect(String(error)).not.toContain('hunter2');
  });

  it('says proxy, and no password, when its address is none', async () => {
    const error = await failure('wss://control.test', { proxy: 'socks5://me:hunter2@127.0.0.1:1' });
    expect(error.kind).toBe('proxy');
    expect(error.message).not.toContain('hunter2');
  });

  it('passes on when a proxy wants to be left alone', async () => {
    const server = createServer();
    server.on('connect', (_request, socket) => socket.end('HTTP/1.1 503 Busy\r\nRetry-After: 7\r\n\r\n'));
    const port = await listen(server);
    const error = await failure('ws://control.test', { proxy: `127.0.0.1:${port}` });
    expect(error).toMatchObject({ kind: 'proxy', retryAfterMs: 7_000 });
  });
});

describe('failures', () => {
  it.each([
    [401, {}, undefined],
    [403, {}, undefined],
    [429, { 'retry-after': '12' }, 12_000],
    [503, { 'retry-after': 'Wed, 07 Jan 2026 10:01:00 GMT' }, 60_000],
    [503, { 'retry-after': 'soon' }, undefined],
    [200, {}, undefined],
  ])('hands on HTTP %i %j', async (status, headers, waitMs) => {
    const port = await listen(createServer((_request, response) => response.writeHead(status, headers).end('no')));
    const error = await failure(`ws://127.0.0.1:${port}`, { clock: new FakeClock() });
    expect(error).toMatchObject({ kind: 'http', httpStatus: status, retryAfterMs: waitMs });
  });

  it('says http when the server speaks another subprotocol', async () => {
    const { port } = await serve(createServer());
    expect(await failure(`ws://127.0.0.1:${port}`, { subprotocol: 'other.v1' })).toMatchObject({ kind: 'http' });
  });

  it('says refused when nobody listens', async () => {
    expect(await failure('ws://127.0.0.1:1')).toMatchObject({ kind: 'refused' });
  });

  it('says refused when the server hangs up', async () => {
    const server = createServer();
    server.on('upgrade', (_request, socket) => socket.destroy());
    const port = await listen(server);
    expect(await failure(`ws://127.0.0.1:${port}`)).toMatchObject({ kind: 'refused' });
  });

  it('says dns when there is no such name', async () => {
    expect(await failure('ws://no-such-host.invalid')).toMatchObject({ kind: 'dns' });
  });

  it('repeats neither user nor query of the address', async () => {
    const error = await failure('ws://me:hunter2@127.0.0.1:1/?token=hunter2');
    expect(error.message).not.toContain('hunter2');
    expect((await failure('me:hunter2@')).message).not.toContain('hunter2');
  });
});

describe('a server that says nothing', () => {
  /** It accepts TCP and stays silent; `gone` resolves when the dialler has hung up. */
  async function silent() {
    const arrived = Promise.withResolvers<void>();
    const gone = Promise.withResolvers<void>();
    const server = createTcpServer((socket) => {
      socket.on('error', () => {});
      socket.on('close', () => gone.resolve());
      socket.resume();
      arrived.resolve();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    closers.push(async () => {
      const closed = once(server, 'close');
      server.close();
      await closed;
    });
    const { port } = server.address() as unknown as AddressInfo;
    return { port, arrived: arrived.promise, gone: gone.promise };
  }

  const URLS: [name: string, url: (port: number) => string, proxy: (port: number) => Partial<DialOptions>][] = [
    ['before TLS', (port) => `wss://127.0.0.1:${port}`, () => ({})],
    ['before the upgrade', (port) => `ws://127.0.0.1:${port}`, () => ({})],
    ['as a proxy', () => 'wss://control.test', (port) => ({ proxy: `http://127.0.0.1:${port}` })],
  ];

  it.each(URLS)('times out %s, and is hung up on', async (_name, url, proxy) => {
    const { port, arrived, gone } = await silent();
    const clock = new FakeClock();
    const dialled = failure(url(port), { ...proxy(port), timeoutMs: 10_000, clock });
    await arrived;
    await clock.advance(10_000);
    expect(await dialled).toMatchObject({ kind: 'timeout' });
    await gone;
    expect(clock.pending).toBe(0);
  });

  it.each(URLS)('can be given up on %s, with the reason of the signal', async (_name, url, proxy) => {
    const { port, arrived, gone } = await silent();
    const clock = new FakeClock();
    const controller = new AbortController();
    const dialled = dial(url(port), { ...proxy(port), clock }, controller.signal);
    await arrived;
    controller.abort(new Error('shutting down'));
    await expect(dialled).rejects.toThrow('shutting down');
    await gone;
    expect(clock.pending).toBe(0);
  });
});

it('is not started once its signal is aborted', async () => {
  await expect(dial('ws://127.0.0.1:1', {}, AbortSignal.abort(new Error('stopped')))).rejects.toThrow('stopped');
});

it('leaves no deadline behind when it succeeds', async () => {
  const { port } = await serve(createServer());
  const clock = new FakeClock();
  const socket = await dial(`ws://127.0.0.1:${port}`, { clock });
  expect(clock.pending).toBe(0);
  const controller = new AbortController();
  await dial(`ws://127.0.0.1:${port}`, { clock }, controller.signal);
  controller.abort(new Error('too late'));
  expect(await echo(socket, 'still there')).toBe('still there');
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
  const socket = await dial(`ws://127.0.0.1:${await listen(server)}`);
  const heard: unknown[] = [];
  socket.listen({ message: (message) => heard.push(message), closed: (end) => heard.push(end) });
  await eventually(() => heard.length === 2, { what: 'the message and the end' });
  expect(heard).toEqual(['hello', { code: 1008, reason: '401 no' }]);
});

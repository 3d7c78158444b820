import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConnectProxy } from './connect-proxy.ts';
import { startConnectProxyProcess } from './connect-proxy-process.ts';
import { eventually } from './eventually.ts';
import { listeningPort } from './listening-port.ts';

let server: Server;
let target: string;

beforeEach(async () => {
  server = createServer((socket) => {
    socket.on('error', () => {});
    socket.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  target = `127.0.0.1:${listeningPort(server)}`;
});

afterEach(() => server.close());

/** Asks a proxy for a tunnel. */
async function ask(proxyUrl: string, path: string): Promise<{ status: number; headers: object; socket: Socket }> {
  const { hostname, port, username, password } = new URL(proxyUrl);
  const auth = username === '' ? {} : { auth: `${decodeURIComponent(username)}:${decodeURIComponent(password)}` };
  const headers = 'auth' in auth ? { 'proxy-authorization': `Basic ${Buffer.from(auth.auth).toString('base64')}` } : {};
  const asking = request({ host: hostname, port, method: 'CONNECT', path, headers, agent: false });
  const answered: Promise<[IncomingMessage, Socket]> = new Promise((resolve, reject) => {
    asking.once('connect', (response, socket) => resolve([response, socket]));
    asking.once('error', reject);
  });
  asking.end();
  const [response, socket] = await answered;
  socket.on('error', () => {});
  return { status: response.statusCode ?? 0, headers: response.headers, socket };
}

async function echo(socket: Socket, text: string): Promise<string> {
  socket.write(text);
  const [bytes] = await once(socket, 'data');
  return String(bytes);
}

it('joins its client to the target and remembers which', async () => {
  await using proxy = await ConnectProxy.start();
  const { status, socket } = await ask(proxy.url, target);
  expect(status).toBe(200);
  expect(await echo(socket, 'hello')).toBe('hello');
  expect([proxy.tunnels, proxy.targets, proxy.refused]).toEqual([1, [target], 0]);
});

it('ends the client when the target ends', async () => {
  await using proxy = await ConnectProxy.start();
  const { socket } = await ask(proxy.url, target);
  socket.end();
  await once(socket, 'close');
  expect(socket.destroyed).toBe(true);
});

it('ends either side when the other breaks', async () => {
  await using proxy = await ConnectProxy.start();
  const accepted = once(server, 'connection');
  const { socket } = await ask(proxy.url, target);
  const [far]: Socket[] = await accepted;
  socket.resetAndDestroy();
  await new Promise((resolve) => far?.once('close', resolve));

  const acceptedNext = once(server, 'connection');
  const next = await ask(proxy.url, target);
  const [farNext]: Socket[] = await acceptedNext;
  let heard = '';
  next.socket.on('data', (bytes) => (heard += String(bytes)));
  farNext?.resetAndDestroy();
  await new Promise((resolve) => next.socket.once('close', resolve));
  expect([proxy.tunnels, heard]).toEqual([2, '']);
});

it('passes on what came with the request', async () => {
  await using proxy = await ConnectProxy.start();
  const socket = connect(proxy.port, '127.0.0.1');
  let heard = '';
  socket.on('data', (bytes) => (heard += String(bytes)));
  socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\nhello`);
  await eventually(() => heard.endsWith('\r\n\r\nhello'), { what: 'the echo' });
  socket.destroy();
  expect(heard).toMatch(/^HTTP\/1\.1 200 /);
});

it('ends every tunnel when it is cut, and takes new ones', async () => {
  await using proxy = await ConnectProxy.start();
  const { socket } = await ask(proxy.url, target);
  proxy.cut();
  await once(socket, 'close');
  expect((await ask(proxy.url, target)).status).toBe(200);
});

it('answers 502 for a target that is not there', async () => {
  await using proxy = await ConnectProxy.start();
  server.close();
  expect((await ask(proxy.url, target)).status).toBe(502);
  expect(proxy.tunnels).toBe(0);
});

it('does nothing but CONNECT', async () => {
  await using proxy = await ConnectProxy.start();
  const { status } = await fetch(`${proxy.url}/`, { headers: { connection: 'close' } });
  expect(status).toBe(405);
});

describe('with credentials', () => {
  const credentials = { user: 'me@work', password: 'p:ss/w%rd' };

  it('lets in who brings those of its URL', async () => {
    await using proxy = await ConnectProxy.start({ credentials });
    const { socket, status } = await ask(proxy.url, target);
    expect(status).toBe(200);
    expect(await echo(socket, 'hello')).toBe('hello');
  });

  it.each([
    ['none', ''],
    ['a wrong password', 'me%40work:wrong@'],
    ['another user', 'you:p%3Ass%2Fw%25rd@'],
  ])('answers 407 to %s and says how', async (_what, userInfo) => {
    await using proxy = await ConnectProxy.start({ credentials });
    const { status, headers } = await ask(`http://${userInfo}127.0.0.1:${proxy.port}`, target);
    expect(status).toBe(407);
    expect(headers).toMatchObject({ 'proxy-authenticate': 'Basic realm="proxy"' });
    expect([proxy.tunnels, proxy.refused]).toEqual([0, 1]);
  });
});

it('runs as a process of its own and tells its tunnels', async () => {
  await using proxy = await startConnectProxyProcess({ credentials: { user: 'u', password: 'p' } });
  const { socket } = await ask(proxy.url, target);
  expect(await echo(socket, 'hello')).toBe('hello');
  await eventually(() => proxy.targets, { what: 'the tunnel', until: (targets) => targets.length === 1 });
  expect(proxy.targets).toEqual([target]);
  socket.destroy();
});

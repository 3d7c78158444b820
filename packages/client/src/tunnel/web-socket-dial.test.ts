import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { ControlError, LIMITS } from '@drawbridge/protocol';
import type { SocketEnd } from '@drawbridge/link';
import { eventually } from '@drawbridge/testkit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { FakeClock, settle } from '../../../testkit/src/fake-clock.ts';
import { listeningPort } from '../../../testkit/src/listening-port.ts';
import { WebSocketServer } from 'ws';
import type { WebSocket as ServerSocket } from 'ws';
import { webSocketDial } from './web-socket-dial.ts';
import type { WebSocketLike } from './web-socket.ts';

let server: ReturnType<typeof createServer>;
let url: string;
const requests: IncomingMessage[] = [];
const peers: ServerSocket[] = [];

beforeAll(async () => {
  server = createServer((_request, response) => response.writeHead(404).end());
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => 'sub.1' });
  server.on('upgrade', (request, socket, head) => {
    requests.push(request);
    if (request.url === '/no') socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
    else if (request.url === '/yes') sockets.handleUpgrade(request, socket, head, (peer) => peers.push(peer));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `ws://127.0.0.1:${listeningPort(server)}/yes`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

async function dialled(token?: string) {
  const socket = await webSocketDial({ token })(url, 'sub.1', new AbortController().signal);
  const peer = await eventually(() => peers.at(-1), { what: 'the peer' });
  const heard: (string | Uint8Array)[] = [];
  const ends: SocketEnd[] = [];
  const listen = () =>
    socket.listen({
      message: (message) => heard.push(message),
      closed: (end) => ends.push(end),
    });
  return { socket, peer, heard, ends, listen };
}

it('says which protocol it wants, and who asks', async () => {
  await dialled('dbt_secret');
  expect(requests.at(-1)?.headers).toMatchObject({
    'sec-websocket-protocol': 'sub.1',
    authorization: 'Bearer dbt_secret',
  });
  await dialled();
  expect(requests.at(-1)?.headers).not.toHaveProperty('authorization');
});

it('carries bytes both ways in order, and waits with them until somebody listens', async () => {
  const { socket, peer, heard, ends, listen } = await dialled();
  peer.send(Buffer.from([1]));
  peer.send(Buffer.from([2]));
  const got: Buffer[] = [];
  peer.on('message', (data: Buffer) => got.push(data));
  socket.send(Uint8Array.of(7));
  await eventually(() => got.length === 1, { what: 'what was sent' });
  listen();
  await eventually(() => heard.length === 2, { what: 'what came before' });
  socket.pause();
  peer.send(Buffer.from([3]));
  // What answers it has seen what came before it.
  const answered = once(peer, 'pong');
  peer.ping();
  await answered;
  expect([got, heard.map((bytes) => [...Buffer.from(bytes)])]).toEqual([[Buffer.of(7)], [[1], [2]]]);
  peer.close(4001, 'superseded');
  socket.resume();
  await eventually(() => ends.length === 1, { what: 'the end' });
  expect([heard.map((bytes) => [...Buffer.from(bytes)]), ends]).toEqual([
    [[1], [2], [3]],
    [{ code: 4001, reason: 'superseded' }],
  ]);
});

it('closes with a code that a page may use', async () => {
  const { socket, peer, ends, listen } = await dialled();
  listen();
  const closed = once(peer, 'close');
  socket.close(1002, 'protocol error '.repeat(20));
  expect((await closed)[0]).toBe(3000);
  await eventually(() => ends.length === 1, { what: 'the end' });
});

it('is refused with a typed error', async () => {
  const dial = webSocketDial();
  const refused = dial(url.replace('/yes', '/no'), 'sub.1', new AbortController().signal);
  await expect(refused).rejects.toBeInstanceOf(ControlError);
  await expect(refused).rejects.toMatchObject({ code: 'tunnel_unavailable' });
});

it('gives up when the signal aborts, or after 10 s without an answer', async () => {
  const clock = new FakeClock();
  const silent = url.replace('/yes', '/silent');
  const abort = new AbortController();
  const reason = new Error('changed my mind');
  const dialling = webSocketDial({ clock })(silent, 'sub.1', abort.signal);
  abort.abort(reason);
  await expect(dialling).rejects.toBe(reason);
  const late = webSocketDial({ clock })(silent, 'sub.1', new AbortController().signal);
  late.catch(() => undefined);
  await clock.advance(LIMITS.dialTimeoutMs);
  await expect(late).rejects.toMatchObject({ message: expect.stringContaining('no answer within 10 s') });
  expect(clock.pending).toBe(0);
});

/** A WebSocket whose peer never answers. */
class DeafWebSocket implements WebSocketLike {
  binaryType = '';
  readyState = 1;
  bufferedAmount = 0;
  closedWith: number | undefined;
  readonly #open: (() => void)[] = [];
  send(): void {
    this.bufferedAmount += 1;
  }
  close(code?: number): void {
    this.closedWith ??= code;
  }
  addEventListener(type: string, listener: (event: never) => void): void {
    if (type === 'open') this.#open.push(listener as () => void);
    queueMicrotask(() => this.#open.splice(0).forEach((opened) => opened()));
  }
}

it('says when what it was given is on its way, and is over 2 s after a goodbye that nobody answers', async () => {
  const clock = new FakeClock();
  const made = new DeafWebSocket();
  // `new` gives what its function returns.
  const WebSocket = function WebSocket() {
    return made;
  } as unknown as new () => DeafWebSocket;
  const socket = await webSocketDial({ clock, WebSocket })(url, 'sub.1', new AbortController().signal);
  const told: string[] = [];
  socket.listen({
    message: () => undefined,
    drained: () => told.push('drained'),
    closed: ({ code }) => told.push(`closed ${code}`),
  });
  socket.send(Uint8Array.of(1));
  await clock.advance(100);
  expect([socket.bufferedBytes, told]).toEqual([1, []]);
  made.bufferedAmount = 0;
  await clock.advance(100);
  expect(told).toEqual(['drained']);
  socket.close(1000, 'goodbye');
  await clock.advance(1_999);
  expect(told).toEqual(['drained']);
  await clock.advance(1);
  await settle();
  expect([told, made.closedWith, clock.pending]).toEqual([['drained', 'closed 1006'], 1000, 0]);
});

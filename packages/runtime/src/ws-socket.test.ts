import type { SocketEnd, SocketListener } from '@drawbridge/link';
import { FakeClock, eventually, listeningPort } from '@drawbridge/testkit';
import { once } from 'node:events';
import { type Server, createServer } from 'node:http';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { wsServerOptions } from './ws-server-options.ts';
import { wsSocket } from './ws-socket.ts';

/** Writes down what a socket says. */
class Notes implements SocketListener {
  readonly messages: (string | Uint8Array)[] = [];
  readonly ends: SocketEnd[] = [];
  lives = 0;
  drains = 0;
  message(message: string | Uint8Array): void {
    this.messages.push(message);
  }
  alive(): void {
    this.lives += 1;
  }
  drained(): void {
    this.drains += 1;
  }
  closed(end: SocketEnd): void {
    this.ends.push(end);
  }
}

let http: Server;
let wss: WebSocketServer;
let clients: WebSocket[];

beforeEach(async () => {
  http = createServer();
  wss = new WebSocketServer(wsServerOptions('link'));
  clients = [];
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
});

afterEach(async () => {
  for (const client of clients) client.terminate();
  const closed = once(http, 'close');
  http.close();
  http.closeAllConnections();
  await closed;
});

/** A MessageSocket at the server, and the bare WebSocket that talks to it. */
async function pair({ withTransport = true } = {}) {
  const clock = new FakeClock();
  const accepted = Promise.withResolvers<{ ws: WebSocket; transport: Socket }>();
  const peer = new WebSocket(`ws://127.0.0.1:${listeningPort(http)}`);
  clients.push(peer);
  const upgraded = once(http, 'upgrade');
  const opened = once(peer, 'open');
  const [request, transport, head] = await upgraded;
  const socket = await new Promise<ReturnType<typeof wsSocket>>((resolve) => {
    wss.handleUpgrade(request, transport, head, (ws) => {
      accepted.resolve({ ws, transport });
      resolve(wsSocket(ws, { clock, ...(withTransport && { transport }) }));
    });
  });
  await opened;
  return { socket, peer, clock, ...(await accepted.promise) };
}

const closeOf = async (peer: WebSocket) => {
  const [code, reason] = await once(peer, 'close');
  return { code: Number(code), reason: String(reason) };
};

it('delivers strings and bytes in order, what came before somebody listened first', async () => {
  const { socket, peer } = await pair();
  peer.send('early');
  peer.send(Uint8Array.of(1, 2));
  // While another connection is made, both have long arrived.
  await pair();
  const notes = new Notes();
  socket.listen(notes);
  peer.send('late');
  await eventually(() => notes.messages.length === 3, { what: 'three messages' });
  expect(notes.messages).toEqual(['early', Buffer.of(1, 2), 'late']);
});

it('sends strings as text and bytes as binary', async () => {
  const { socket, peer } = await pair();
  const received: [string, boolean][] = [];
  peer.on('message', (data, isBinary) =>
    received.push([Buffer.isBuffer(data) ? data.toString() : 'no Buffer', isBinary]),
  );
  socket.send('text');
  socket.send(Buffer.from('bytes'));
  await eventually(() => received.length === 2, { what: 'two messages' });
  expect(received).toEqual([
    ['text', false],
    ['bytes', true],
  ]);
});

it('says drained once when everything sent has left', async () => {
  const { socket, peer } = await pair();
  const notes = new Notes();
  socket.listen(notes);
  for (let index = 0; index < 5; index += 1) socket.send('x'.repeat(100));
  const answered = once(peer, 'pong');
  peer.ping();
  await answered;
  await eventually(() => notes.drains > 0, { what: 'drained' });
  expect(socket.bufferedBytes).toBe(0);
  expect(notes.drains).toBe(1);
});

it('keeps bytes that a slow reader does not take, and drains when it does', async () => {
  const { socket, peer } = await pair();
  const levels: number[] = [];
  socket.listen({ message() {}, closed() {}, drained: () => levels.push(socket.bufferedBytes) });
  peer.pause();
  for (let index = 0; index < 200; index += 1) socket.send(new Uint8Array(65_536));
  expect(socket.bufferedBytes).toBeGreaterThan(0);
  peer.resume();
  await eventually(() => levels.length > 0, { what: 'drained' });
  expect(levels).toEqual([0]);
});

it.each([true, false])('answers a ping, and takes it for life (transport known: %s)', async (withTransport) => {
  const { socket, peer } = await pair({ withTransport });
  const notes = new Notes();
  socket.listen(notes);
  const answered = once(peer, 'pong');
  peer.ping('p');
  expect(String(await answered)).toBe('p');
  expect(notes.lives).toBeGreaterThan(0);
});

it('takes half a message for life', async () => {
  const { socket, peer } = await pair();
  const notes = new Notes();
  socket.listen(notes);
  peer.send('first part', { fin: false });
  await eventually(() => notes.lives > 0, { what: 'a sign of life' });
  expect(notes.messages).toEqual([]);
});

it('reads nothing while it is paused', async () => {
  const { socket, peer } = await pair();
  const notes = new Notes();
  socket.listen(notes);
  socket.pause();
  peer.send('waits');
  // The answer to a ping would be behind it: only what is sent from here goes round.
  const sent = once(peer, 'message');
  socket.send('still sends');
  await sent;
  expect(notes.messages).toEqual([]);
  socket.resume();
  await eventually(() => notes.messages.length === 1, { what: 'the message' });
});

it('hands on code and reason of the peer, once', async () => {
  const { socket, peer } = await pair();
  const notes = new Notes();
  socket.listen(notes);
  peer.close(4001, 'superseded');
  await eventually(() => notes.ends.length > 0, { what: 'the end' });
  socket.terminate();
  socket.close(1000, '');
  expect(notes.ends).toEqual([{ code: 4001, reason: 'superseded' }]);
});

it('says 1006 when no close frame came', async () => {
  const { socket, peer } = await pair();
  const notes = new Notes();
  socket.listen(notes);
  peer.terminate();
  await eventually(() => notes.ends.length > 0, { what: 'the end' });
  expect(notes.ends[0]?.code).toBe(1006);
});

it('tells an end that came before anybody listened', async () => {
  const { socket, ws } = await pair();
  socket.terminate();
  await once(ws, 'close');
  const notes = new Notes();
  socket.listen(notes);
  await eventually(() => notes.ends.length > 0, { what: 'the end' });
  expect(notes.ends).toEqual([{ code: 1006, reason: '' }]);
});

it('wraps a WebSocket that is closed already', async () => {
  const { socket, ws } = await pair();
  socket.terminate();
  await once(ws, 'close');
  const notes = new Notes();
  wsSocket(ws).listen(notes);
  await eventually(() => notes.ends.length > 0, { what: 'the end' });
  expect(notes.ends).toEqual([{ code: 1006, reason: '' }]);
});

it('says goodbye with code and reason, even while it is paused', async () => {
  const { socket, peer, clock } = await pair();
  const notes = new Notes();
  socket.listen(notes);
  socket.pause();
  socket.close(1013, 'restarting');
  expect(await closeOf(peer)).toEqual({ code: 1013, reason: 'restarting' });
  await eventually(() => notes.ends.length > 0, { what: 'the end' });
  expect(notes.ends).toEqual([{ code: 1013, reason: 'restarting' }]);
  expect(clock.pending).toBe(0);
});

it('drops a peer that does not answer a close', async () => {
  const { socket, peer, clock } = await pair();
  const notes = new Notes();
  socket.listen(notes);
  peer.pause();
  socket.close(1000, 'bye');
  await clock.advance(1_999);
  expect(notes.ends).toEqual([]);
  await clock.advance(1);
  await eventually(() => notes.ends.length > 0, { what: 'the end' });
  expect(notes.ends[0]?.code).toBe(1006);
});

it('keeps what broke it, and drops a peer that ignores it', async () => {
  const { socket, peer, clock } = await pair();
  const notes = new Notes();
  socket.listen(notes);
  peer.on('error', () => {});
  peer.send('x'.repeat(256 * 1024 + 1));
  peer.pause();
  await eventually(() => clock.pending === 1, { what: 'the limit to be noticed' });
  await clock.advance(2_000);
  await eventually(() => notes.ends.length > 0, { what: 'the end' });
  expect(notes.ends[0]?.error?.message).toBe('Max payload size exceeded');
});

it.each([
  [1005, 1000],
  [1004, 1011],
  [1006, 1011],
  [1015, 1011],
  [999, 1011],
  [2000, 1011],
  [5000, 1011],
  [1014, 1014],
  [3000, 3000],
  [4999, 4999],
])('asked to close with %i, sends %i', async (asked, sent) => {
  const { socket, peer } = await pair();
  socket.listen(new Notes());
  socket.close(asked, '');
  expect((await closeOf(peer)).code).toBe(sent);
});

it.each([
  ['a'.repeat(200), 'a'.repeat(123)],
  ['ä'.repeat(100), 'ä'.repeat(61)],
  [`a${'🌉'.repeat(40)}`, `a${'🌉'.repeat(30)}`],
  ['short', 'short'],
])('cuts a reason at a character', async (reason, cut) => {
  const { socket, peer } = await pair();
  socket.listen(new Notes());
  socket.close(1000, reason);
  expect((await closeOf(peer)).reason).toBe(cut);
});

it('does nothing when it is closed', async () => {
  const { socket, peer } = await pair();
  const notes = new Notes();
  socket.listen(notes);
  socket.close(1000, '');
  socket.send('too late');
  socket.close(1001, 'again');
  expect((await closeOf(peer)).code).toBe(1000);
  expect(socket.bufferedBytes).toBe(0);
});

it('has one listener', async () => {
  const { socket } = await pair();
  socket.listen(new Notes());
  expect(() => socket.listen(new Notes())).toThrow('one listener');
});

import { FakeClock, eventually, listeningPort } from '@drawbridge/testkit';
import { once } from 'node:events';
import { type Server, createServer } from 'node:http';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { Notes } from './notes-fixture.ts';
import { itIsAMessageSocket } from './socket-contract-fixture.ts';
import { wsServerOptions } from './ws-server-options.ts';
import { wsSocket } from './ws-socket.ts';

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
  const accepted = Promise.withResolvers<{ ws: WebSocket; connection: Socket }>();
  const peer = new WebSocket(`ws://127.0.0.1:${listeningPort(http)}`);
  clients.push(peer);
  const upgraded = once(http, 'upgrade');
  const opened = once(peer, 'open');
  const [request, transport, head] = await upgraded;
  const socket = await new Promise<ReturnType<typeof wsSocket>>((resolve) => {
    wss.handleUpgrade(request, transport, head, (ws) => {
      accepted.resolve({ ws, connection: transport });
      resolve(wsSocket(ws, { clock, ...(withTransport && { transport }) }));
    });
  });
  await opened;
  return { socket, peer, clock, ...(await accepted.promise) };
}

itIsAMessageSocket(pair, 'Max payload size exceeded');

it('answers a ping, and takes it for life, without knowing its transport', async () => {
  const { socket, peer } = await pair({ withTransport: false });
  const notes = new Notes();
  socket.listen(notes);
  const answered = once(peer, 'pong');
  peer.ping('p');
  expect(String(await answered)).toBe('p');
  expect(notes.lives).toBeGreaterThan(0);
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

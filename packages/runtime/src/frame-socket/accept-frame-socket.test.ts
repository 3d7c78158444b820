import { eventually, listeningPort } from '@drawbridge/testkit';
import { once } from 'node:events';
import { type Server, createServer } from 'node:http';
import { type Socket, connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { Notes } from '../notes-fixture.ts';
import { acceptFrameSocket } from './accept-frame-socket.ts';
import { rawFrame } from './raw-wire-fixture.ts';

let http: Server;
let clients: Socket[];
let notes: Notes;
let accepted: unknown[];

beforeEach(async () => {
  http = createServer();
  clients = [];
  notes = new Notes();
  accepted = [];
  http.on('upgrade', (request, connection, head) => {
    const socket = acceptFrameSocket(request, connection, head, { subprotocol: 'tunnel.v1', maxPayloadBytes: 1_000 });
    accepted.push(socket);
    socket?.listen(notes);
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
});

afterEach(async () => {
  for (const client of clients) client.destroy();
  const closed = once(http, 'close');
  http.close();
  http.closeAllConnections();
  await closed;
});

/** What Chromium sends, with what a test changes; `undefined` leaves a header out. */
const BROWSER = {
  Host: '127.0.0.1',
  Connection: 'Upgrade',
  Pragma: 'no-cache',
  'Cache-Control': 'no-cache',
  'User-Agent': 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36',
  Upgrade: 'websocket',
  Origin: 'https://console.test',
  'Sec-WebSocket-Version': '13',
  'Accept-Encoding': 'gzip, deflate, br, zstd',
  'Accept-Language': 'en-US,en;q=0.9',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits',
  'Sec-WebSocket-Protocol': 'tunnel.v1',
};

function ask(
  changed: Record<string, string | undefined>,
  { method = 'GET', behind }: { method?: string; behind?: Buffer } = {},
): Socket {
  const client = connect(listeningPort(http), '127.0.0.1');
  clients.push(client);
  const headers = Object.entries({ ...BROWSER, ...changed }).filter(([, value]) => value !== undefined);
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  client.write(Buffer.concat([Buffer.from(`${method} / HTTP/1.1\r\n${lines}\r\n`), behind ?? Buffer.of()]));
  return client;
}

it('answers a browser with the key of RFC 6455 §1.3, and without the extension it offers', async () => {
  const [answer] = await once(ask({}), 'data');
  expect(String(answer)).toBe(
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: tunnel.v1\r\n\r\n',
  );
});

it('hears what came together with the request', async () => {
  const frame = rawFrame({ opcode: 1, payload: Buffer.from('at once'), key: Uint8Array.of(1, 2, 3, 4) });
  ask({}, { behind: frame });
  await eventually(() => notes.messages.length > 0, { what: 'the message' });
  expect(notes.messages).toEqual(['at once']);
});

it('accepts one of several subprotocols', async () => {
  const client = new WebSocket(`ws://127.0.0.1:${listeningPort(http)}`, ['other.v2', 'tunnel.v1']);
  await once(client, 'open');
  expect(client.protocol).toBe('tunnel.v1');
  expect(client.extensions).toBe('');
  client.terminate();
});

it.each([
  ['another version', { 'Sec-WebSocket-Version': '8' }, '426 Upgrade Required', 'Sec-WebSocket-Version: 13\r\n'],
  ['no version', { 'Sec-WebSocket-Version': undefined }, '426 Upgrade Required', 'Sec-WebSocket-Version: 13\r\n'],
  ['no key', { 'Sec-WebSocket-Key': undefined }, '400 Bad Request', 'Sec-WebSocket-Key is'],
  ['a short key', { 'Sec-WebSocket-Key': 'c2hvcnQ=' }, '400 Bad Request', 'Sec-WebSocket-Key is'],
  ['another protocol', { 'Sec-WebSocket-Protocol': 'tunnel.v10, x' }, '400 Bad Request', 'does not offer tunnel.v1'],
  ['no protocol', { 'Sec-WebSocket-Protocol': undefined }, '400 Bad Request', 'does not offer tunnel.v1'],
  ['another upgrade', { Upgrade: 'h2c' }, '400 Bad Request', 'Upgrade is not websocket'],
])('refuses %s, says why, and hangs up', async (_name, changed, status, reason) => {
  const answer = await text(ask(changed));
  expect(answer.startsWith(`HTTP/1.1 ${status}\r\n`)).toBe(true);
  expect(answer).toContain(reason);
  expect(accepted).toEqual([undefined]);
});

it('refuses another method than GET', async () => {
  expect(await text(ask({}, { method: 'DELETE' }))).toMatch(/^HTTP\/1\.1 405 Method Not Allowed\r\n.*Allow: GET\r\n/s);
});

it('takes the time limit of HTTP off the connection', async () => {
  http.removeAllListeners('upgrade');
  const upgraded = once(http, 'upgrade');
  ask({});
  const [request, connection, head] = await upgraded;
  connection.setTimeout(60_000);
  acceptFrameSocket(request, connection, head, { subprotocol: 'tunnel.v1', maxPayloadBytes: 1_000 });
  expect(connection.timeout).toBe(0);
});

it('does nothing for a client that has gone', async () => {
  http.removeAllListeners('upgrade');
  const upgraded = once(http, 'upgrade');
  ask({});
  const [request, connection, head] = await upgraded;
  connection.destroy();
  const options = { subprotocol: 'tunnel.v1', maxPayloadBytes: 1_000 };
  expect(acceptFrameSocket(request, connection, head, options)).toBeUndefined();
});

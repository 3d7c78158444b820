import { type Server, type Socket, createServer, connect } from 'node:net';
import { listeningPort } from '@drawbridge/testkit';
import { once } from 'node:events';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { HandshakeError, acceptKeyFor, requestUpgrade } from './request-upgrade.ts';

/** What the server answers to a request with this key. */
let answer: (key: string) => string;
let server: Server;
let connections: Socket[];
let asked: string[];

beforeEach(async () => {
  connections = [];
  asked = [];
  server = createServer((connection) => {
    connections.push(connection);
    connection.on('error', () => undefined);
    connection.once('data', (request) => {
      asked.push(String(request));
      connection.write(answer(/^sec-websocket-key: (?<key>\S+)/im.exec(String(request))?.groups?.['key'] ?? ''));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});

afterEach(async () => {
  for (const connection of connections) connection.destroy();
  const closed = once(server, 'close');
  server.close();
  await closed;
});

const right = (key: string) => ({
  Upgrade: 'WebSocket',
  Connection: 'Upgrade',
  'Sec-WebSocket-Accept': acceptKeyFor(key),
  'Sec-WebSocket-Protocol': 'tunnel.v1',
});

const lines = (headers: Record<string, string>) =>
  `HTTP/1.1 101 Switching Protocols\r\n${Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')}\r\n`;

async function ask(): Promise<string> {
  const transport = connect(listeningPort(server), '127.0.0.1');
  connections.push(transport);
  const url = new URL('wss://control.test/path?query=1');
  const request = { url, transport, subprotocol: 'tunnel.v1', headers: { 'X-Device-Id': 'a1' } };
  return requestUpgrade(request, new AbortController().signal, (said) =>
    said.is === 'upgraded' ? `upgraded, then ${said.head.toString()}` : 'refused',
  );
}

it('asks as RFC 6455 wants it, and hands on what came behind the answer', async () => {
  answer = (key) => `${lines(right(key))}the rest`;
  expect(await ask()).toBe('upgraded, then the rest');
  expect(asked[0]).toMatch(/^GET \/path\?query=1 HTTP\/1\.1\r\n/);
  expect(asked[0]).toMatch(/^Host: control\.test\r$/m);
  expect(asked[0]).toMatch(/^X-Device-Id: a1\r$/m);
  expect(asked[0]).toMatch(/^Sec-WebSocket-Key: [+/0-9A-Za-z]{22}==\r$/m);
  expect(asked[0]).not.toContain('Sec-WebSocket-Extensions');
});

it('hands on an answer that is no upgrade', async () => {
  answer = () => 'HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n';
  expect(await ask()).toBe('refused');
});

it.each([
  ['the answer to another key', { 'Sec-WebSocket-Accept': acceptKeyFor('another') }, 'accept key'],
  ['another protocol', { 'Sec-WebSocket-Protocol': 'other.v1' }, 'subprotocol'],
  ['an extension', { 'Sec-WebSocket-Extensions': 'permessage-deflate' }, 'extension'],
  ['an upgrade to something else', { Upgrade: 'h2c' }, 'something else'],
])('does not take %s', async (_name, wrong, reason) => {
  answer = (key) => lines({ ...right(key), ...wrong });
  const error: unknown = await ask().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(HandshakeError);
  expect(error).toMatchObject({ message: expect.stringContaining(reason) });
});

import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { ClientRequest, IncomingMessage, Server, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { TestAgent, TestControlPlane, listeningPort, memoryOf, scaled } from '@drawbridge/testkit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';

/** Enough to fill every buffer on the way many times. */
const BYTES = scaled(200_000_000, 20_000_000);
const CHUNK_BYTES = 65_536;
/** How much a control plane may grow that holds none of it. */
const GROWTH_BYTES_MAX = 150_000_000;

const parts = new AsyncDisposableStack();
let plane: TestControlPlane;
let agent: TestAgent;
let service: Server;

beforeAll(async () => {
  plane = parts.use(await TestControlPlane.start());
  const config = { tunnels: { allow: ['127.0.0.1:*'], deny: ['127.0.0.1:1'] } };
  agent = parts.use(await TestAgent.start({ controlPlane: plane, name: 'build-1', config }));
  service = createServer((asked, answer) => {
    (asked.method === 'GET' ? give(answer) : take(asked, answer)).catch(() => undefined);
  });
  const sockets = new WebSocketServer({ server: service });
  sockets.on('connection', (ws) => ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary })));
  service.listen(0, '127.0.0.1');
  await once(service, 'listening');
  parts.defer(() => {
    service.closeAllConnections();
    service.close();
  });
});
afterAll(() => parts.disposeAsync());

/** BYTES of which no two parts are alike, and at the end their sum. */
function manyBytes(): { readonly stream: Readable; readonly sum: () => string } {
  const hash = createHash('sha256');
  const noise = randomBytes(CHUNK_BYTES);
  let leftBytes = BYTES;
  const stream = new Readable({
    read() {
      if (leftBytes === 0) return void this.push(null);
      noise.writeUInt32LE(leftBytes % 2 ** 32);
      const chunk = Buffer.from(noise.subarray(0, leftBytes));
      leftBytes -= chunk.byteLength;
      hash.update(chunk);
      this.push(chunk);
      return undefined;
    },
  });
  return { stream, sum: () => hash.digest('hex') };
}

async function give(answer: ServerResponse): Promise<void> {
  const { stream, sum } = manyBytes();
  answer.writeHead(200, { trailer: 'x-sum' });
  await pipeline(stream, answer, { end: false });
  answer.addTrailers({ 'x-sum': sum() });
  answer.end();
}

async function take(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
  answer.end(await sumOf(asked));
}

async function sumOf(message: IncomingMessage): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of message) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

function urlOf(target: string, port = listeningPort(service)): URL {
  return new URL(`/sandboxes/${agent.name}/proxy/${port}${target}`, plane.url);
}

function ask(method: string, headers: Record<string, number> = {}): ClientRequest {
  return request(urlOf('/'), { method, headers: { authorization: `Bearer ${plane.token}`, ...headers } });
}

it('carries an upload and a download at once, whole, and holds next to nothing of them', async () => {
  const { rssBytes } = memoryOf(plane.pid);
  const upload = ask('PUT', { 'content-length': BYTES });
  const download = ask('GET');
  const uploaded = once(upload, 'response') as Promise<[IncomingMessage]>;
  const downloaded = once(download, 'response') as Promise<[IncomingMessage]>;
  const sent = manyBytes();
  const reading = downloaded.then(async ([answer]) => ({ answer, sum: await sumOf(answer) }));
  download.end();
  await pipeline(sent.stream, upload);
  const [[answer], down] = await Promise.all([uploaded, reading]);
  expect(await text(answer)).toBe(sent.sum());
  expect(down.answer.trailers['x-sum']).toBe(down.sum);
  expect(memoryOf(plane.pid).peakRssBytes - rssBytes).toBeLessThan(GROWTH_BYTES_MAX);
});

it('carries a WebSocket, until the agent is revoked', async () => {
  const other = await TestAgent.start({ controlPlane: plane, name: 'build-2' });
  await using _other = other;
  const url = urlOf('/ws?pty=1').href.replace('http', 'ws').replace(agent.name, other.name);
  const ws = new WebSocket(url, { headers: { authorization: `Bearer ${plane.token}` } });
  await once(ws, 'open');
  ws.send('hello');
  expect(String(((await once(ws, 'message')) as [Buffer])[0])).toBe('hello');
  const closed = once(ws, 'close') as Promise<[number, Buffer]>;
  await plane.api('DELETE', `/api/v1/agents/${other.agentId}`);
  expect([1008, 1011]).toContain((await closed)[0]);
});

it('reaches no port that the agent’s own file refuses, and says so', async () => {
  const answer = await fetch(urlOf('/', 1), { headers: { authorization: `Bearer ${plane.token}` } });
  expect([answer.status, await answer.json()]).toMatchObject([403, { code: 'forbidden' }]);
});

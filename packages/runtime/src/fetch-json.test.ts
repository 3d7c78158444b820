import { ConnectProxy, FakeClock, TempDir, listeningPort, makePki } from '@drawbridge/testkit';
import { once } from 'node:events';
import { type RequestListener, type Server, createServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { fetchJson } from './fetch-json.ts';

const NEVER = new AbortController().signal;
const OPTIONS = { timeoutMs: 30_000, env: {} };

let servers: Server[];

beforeEach(() => {
  servers = [];
});
afterEach(async () => {
  for (const server of servers) {
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  }
});

async function serve(answer: RequestListener, server: Server = createServer()): Promise<number> {
  servers.push(server);
  server.on('request', answer);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return listeningPort(server);
}

it('posts JSON and brings back status and JSON', async () => {
  const port = await serve((request, response) => {
    const { method, url, headers } = request;
    const seen = { method, url, type: headers['content-type'], host: headers.host, own: headers['x-own'] };
    void text(request).then((body) => response.writeHead(201).end(JSON.stringify({ seen, body })));
  });
  const url = `http://127.0.0.1:${port}/v1/enrol?x=1`;
  const answer = await fetchJson({ ...OPTIONS, url, body: { token: 'dbj_1' }, headers: { 'x-own': 'y' } }, NEVER);
  expect(answer).toEqual({
    status: 201,
    body: {
      seen: { method: 'POST', url: '/v1/enrol?x=1', type: 'application/json', host: `127.0.0.1:${port}`, own: 'y' },
      body: '{"token":"dbj_1"}',
    },
    retryAfterMs: undefined,
  });
});

it('gets without a body, and brings back an error with its Retry-After', async () => {
  const port = await serve((request, response) => {
    response
      .writeHead(429, { 'retry-after': '3' })
      .end(JSON.stringify({ code: 'rate_limited', method: request.method }));
  });
  expect(await fetchJson({ ...OPTIONS, url: `http://127.0.0.1:${port}/` }, NEVER)).toEqual({
    status: 429,
    body: { code: 'rate_limited', method: 'GET' },
    retryAfterMs: 3_000,
  });
});

it('takes no body for undefined', async () => {
  const port = await serve((_request, response) => response.writeHead(204).end());
  expect(await fetchJson({ ...OPTIONS, url: `http://127.0.0.1:${port}/` }, NEVER)).toMatchObject({
    status: 204,
    body: undefined,
  });
});

it('obeys CA, pin and proxy', async () => {
  await using dir = await TempDir.make();
  const pki = await makePki(dir.path);
  const { cert, key, pin } = pki.server;
  const port = await serve((_request, response) => response.end('true'), createHttpsServer({ cert, key }));
  await using proxy = await ConnectProxy.start({ credentials: { user: 'me', password: 'pw' } });
  const ask = (tls: object) =>
    fetchJson({ ...OPTIONS, url: `https://localhost:${port}/`, proxy: proxy.url, tls }, NEVER);
  expect(await ask({ ca: pki.ca.cert, pin })).toMatchObject({ body: true });
  await expect(ask({})).rejects.toMatchObject({ kind: 'tls' });
  await expect(ask({ pin: pki.impostor.pin })).rejects.toMatchObject({ kind: 'pin' });
  expect(proxy.tunnels).toBe(3);
});

it('refuses an answer that is too long', async () => {
  const port = await serve((_request, response) => response.end(JSON.stringify('x'.repeat(100))));
  const ask = (bodyBytesMax: number) =>
    fetchJson({ ...OPTIONS, url: `http://127.0.0.1:${port}/`, bodyBytesMax }, NEVER);
  await expect(ask(101)).rejects.toMatchObject({ kind: 'http', message: 'the answer has more than 101 bytes' });
  expect((await ask(102)).status).toBe(200);
});

it('refuses an answer that is no JSON, and keeps its status', async () => {
  const port = await serve((_request, response) => response.writeHead(502).end('<html>'));
  await expect(fetchJson({ ...OPTIONS, url: `http://127.0.0.1:${port}/` }, NEVER)).rejects.toMatchObject({
    kind: 'http',
    httpStatus: 502,
  });
});

it('does not wait for ever for the rest of an answer', async () => {
  const clock = new FakeClock();
  const begun = Promise.withResolvers<void>();
  const hungUp = Promise.withResolvers<void>();
  const port = await serve((request, response) => {
    response.write('[', () => begun.resolve());
    request.on('close', () => hungUp.resolve());
  });
  const answer = fetchJson({ ...OPTIONS, url: `http://127.0.0.1:${port}/`, clock }, NEVER);
  const failed = answer.catch((error: unknown) => error);
  await begun.promise;
  await clock.advance(OPTIONS.timeoutMs);
  expect(await failed).toMatchObject({ kind: 'timeout' });
  await hungUp.promise;
  expect(clock.pending).toBe(0);
});

it('does not take half an answer for a whole one', async () => {
  const port = await serve((_request, response) => {
    response.writeHead(200, { 'content-length': '10' });
    response.write('{}', () => response.destroy());
  });
  await expect(fetchJson({ ...OPTIONS, url: `http://127.0.0.1:${port}/` }, NEVER)).rejects.toMatchObject({
    kind: 'refused',
  });
});

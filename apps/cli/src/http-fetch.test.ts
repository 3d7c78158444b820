import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import type { RequestListener, Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { TempDir, makePki, requires } from '@drawbridge/testkit';
import { describe, expect, it } from 'vitest';
import { httpFetch } from './http-fetch.ts';

const echo: RequestListener = (request, response) => {
  void text(request).then((body) => {
    response.writeHead(201, { 'x-next-offset': '7', 'content-type': 'application/json' });
    response.end(JSON.stringify({ line: `${request.method} ${request.url}`, headers: request.headers, body }));
  });
};

it('sends what it is given, and gives back status, headers and body', async () => {
  await using server = await listen(createHttpServer(echo));
  const init = { method: 'POST', headers: { authorization: 'Bearer x' }, body: '{"a":"ü"}' };
  const response = await httpFetch({ env: {} })(`${server.url}/api?x=1`, init);
  expect([response.status, response.headers.get('X-Next-Offset'), response.headers.get('gone')]).toEqual([
    201,
    '7',
    null,
  ]);
  expect(JSON.parse(await response.text())).toMatchObject({
    line: 'POST /api?x=1',
    headers: { authorization: 'Bearer x', 'content-length': '10' },
    body: '{"a":"ü"}',
  });
});

it('uses one connection for requests that follow each other', async () => {
  const server = createHttpServer(echo);
  let connections = 0;
  server.on('connection', () => (connections += 1));
  await using listening = await listen(server);
  const fetch = httpFetch({ env: {} });
  for (let request = 0; request < 3; request += 1) await get(fetch, listening.url);
  expect(connections).toBe(1);
});

it('tells of a body that breaks off', async () => {
  const server = createHttpServer((_request, response) => {
    response.writeHead(200, { 'content-length': '100' });
    response.write('begun', () => response.destroy());
  });
  await using listening = await listen(server);
  const response = await httpFetch({ env: {} })(listening.url, { method: 'GET', headers: {} });
  await expect(response.text()).rejects.toThrow('aborted');
});

it('stops a request and a body when its signal says so', async () => {
  await using listening = await listen(createHttpServer((_request, response) => void response.write('begun')));
  const leave = new AbortController();
  const init = { method: 'GET', headers: {}, signal: leave.signal };
  const response = await httpFetch({ env: {} })(listening.url, init);
  const body = response.text();
  leave.abort();
  await expect(body).rejects.toThrow(/abort/);
  await expect(httpFetch({ env: {} })(listening.url, init)).rejects.toThrow(/abort/);
});

it('sends a token nowhere else when it is sent on', async () => {
  const asked: string[] = [];
  await using elsewhere = await listen(createHttpServer((request) => asked.push(String(request.url))));
  const moved: RequestListener = (_request, response) => response.writeHead(307, { location: elsewhere.url }).end();
  await using server = await listen(createHttpServer(moved));
  const answer = httpFetch({ env: {} })(server.url, { method: 'GET', headers: { authorization: 'Bearer x' } });
  await expect(answer).rejects.toThrow(`it sends us on to ${elsewhere.url}`);
  expect(asked).toEqual([]);
});

it('goes through the proxy of the environment, and never to one with what is for this machine', async () => {
  const tunnels: (string | undefined)[] = [];
  const refusing = createHttpServer((request, response) => response.end(tunnels.push(request.url)));
  refusing.on('connect', (request, socket) => {
    tunnels.push(request.url);
    socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
  });
  await using proxy = await listen(refusing);
  await using server = await listen(createHttpServer(echo));
  const fetch = () => httpFetch({ env: { HTTPS_PROXY: proxy.url, HTTP_PROXY: proxy.url } });
  await get(fetch(), server.url);
  expect(tunnels).toEqual([]);
  await expect(get(fetch(), 'https://control.invalid:8443')).rejects.toThrow('403');
  expect(tunnels).toEqual(['control.invalid:8443']);
});

describe.runIf(requires('openssl'))('over TLS', () => {
  it('trusts the authority it is given, and no certificate without one', async () => {
    await using dir = await TempDir.make();
    const { ca, server } = await makePki(dir.path);
    await using listening = await listen(createHttpsServer({ cert: server.cert, key: server.key }, echo), 'https');
    expect((await get(httpFetch({ ca: ca.cert, env: {} }), listening.url)).status).toBe(201);
    await expect(get(httpFetch({ env: {} }), listening.url)).rejects.toMatchObject({
      code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    });
  });
});

function get(fetch: ReturnType<typeof httpFetch>, url: string) {
  return fetch(url, { method: 'GET', headers: {} }).then(async (response) => {
    await response.text();
    return response;
  });
}

async function listen(server: Server, scheme = 'http') {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

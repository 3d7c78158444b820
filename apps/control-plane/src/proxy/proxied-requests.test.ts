import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { json, text } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ProxiedWorld } from './proxied-world-fixture.ts';

/** What a service was asked, as it saw it. */
interface Seen {
  readonly method: string;
  readonly url: string;
  readonly rawHeaders: readonly string[];
  readonly rawTrailers: readonly string[];
  readonly body: string;
}

let world: ProxiedWorld;
/** A service that answers with what it was asked. */
let mirror: number;
beforeAll(async () => {
  world = await ProxiedWorld.make();
  mirror = await world.serve((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    request.once('end', () => {
      const { method, url, rawHeaders, rawTrailers } = request;
      response.end(JSON.stringify({ method, url, rawHeaders, rawTrailers, body }));
    });
  });
});
afterAll(() => world[Symbol.asyncDispose]());

async function seen(target: string, wanted: Parameters<ProxiedWorld['ask']>[1] = {}): Promise<Seen> {
  const { status, body } = await world.ask(world.pathOf(mirror, target), wanted);
  expect(status).toBe(200);
  return JSON.parse(body.toString()) as Seen;
}

/** A service that answers with these bytes, and ends there. */
function answering(bytes: string): Promise<number> {
  return world.serveTcp((socket) => {
    socket.resume();
    socket.once('data', () => socket.end(bytes, 'latin1'));
  });
}

describe('a request', () => {
  it('reaches its service with its path and query as they came', async () => {
    const target = '/a/../b/%2e%2E/%2F//c;d?x=1?&token=theirs&y=%zz';
    expect(await seen(target)).toMatchObject({ method: 'GET', url: target });
  });

  it.each(['', '/v1'])('goes by the agent’s name too, under %s/', async (prefix) => {
    const { name } = await world.world.nouns.agents.find(world.agentId);
    const { body } = await world.ask(`${prefix}/sandboxes/${name}/proxy/${mirror}/x`);
    expect(JSON.parse(body.toString())).toMatchObject({ url: '/x' });
  });

  it.each(['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'REPORT', 'QUERY'])(
    '%s comes with its body, whatever it calls it',
    async (method) => {
      const headers = { 'content-type': 'not/a;type=', 'content-length': '5' };
      expect(await seen('/', { method, headers, body: 'hello' })).toMatchObject({ method, body: 'hello' });
    },
  );

  it('without a body has none, and Content-Length: 0 stays', async () => {
    const { rawHeaders, body } = await seen('/', { method: 'POST', headers: { 'content-length': '0' } });
    expect(body).toBe('');
    expect(headersOf(rawHeaders, 'content-length')).toEqual(['0']);
    expect(headersOf(rawHeaders, 'transfer-encoding')).toEqual([]);
  });

  it('keeps the order and the repetitions of its headers, and says who forwarded it', async () => {
    const headers = ['X-One', '1', 'Accept', 'a', 'x-one', '2', 'ACCEPT', 'b'];
    const { rawHeaders } = await seen('/', { headers });
    expect(rawHeaders.slice(0, 10)).toEqual(['Host', `127.0.0.1:${mirror}`, ...headers]);
    expect(headersOf(rawHeaders, 'x-forwarded-proto')).toEqual(['http']);
    expect(headersOf(rawHeaders, 'x-forwarded-host')).toEqual([`127.0.0.1:${world.port}`]);
    expect(headersOf(rawHeaders, 'x-forwarded-for')).toEqual(['127.0.0.1']);
  });

  it('brings no credential of ours to its service', async () => {
    const headers = { cookie: 'drawbridge=dbs_x; theirs=1', 'open-sandbox-api-key': 'k', 'proxy-authorization': 'p' };
    const request = await seen('/', { headers });
    expect(JSON.stringify(request)).not.toContain(world.token);
    for (const name of ['authorization', 'cookie', 'open-sandbox-api-key', 'proxy-authorization'])
      expect(headersOf(request.rawHeaders, name)).toEqual([]);
  });

  it('brings chunks and trailers', async () => {
    const outgoing = world.request(world.pathOf(mirror), { method: 'POST', headers: { trailer: 'x-sum' } });
    outgoing.write('one ');
    outgoing.addTrailers({ 'x-sum': '7', authorization: 'no' });
    outgoing.end('two');
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    const asked = (await json(response)) as Seen;
    expect(asked).toMatchObject({ body: 'one two', rawTrailers: ['x-sum', '7'] });
    expect(headersOf(asked.rawHeaders, 'trailer')).toEqual(['x-sum']);
  });

  it('that offers another protocol is served as if it had not', async () => {
    const { rawHeaders } = await seen('/', { headers: { connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c' } });
    expect(headersOf(rawHeaders, 'upgrade')).toEqual([]);
  });

  it('waits for its service’s word before it sends its body', async () => {
    const port = await world.serveTcp((socket) => {
      socket.once('data', (head: Buffer) => {
        expect(String(head)).toContain('expect: 100-continue');
        expect(String(head)).not.toContain('hello');
        socket.write('HTTP/1.1 100 Continue\r\n\r\n');
        socket.once('data', (body: Buffer) => {
          socket.end(
            `HTTP/1.1 200 OK\r\nContent-Length: ${body.byteLength}\r\nConnection: close\r\n\r\n${String(body)}`,
          );
        });
      });
    });
    const headers = { expect: '100-continue', 'content-length': '5' };
    const outgoing = world.request(world.pathOf(port), { method: 'POST', headers });
    outgoing.flushHeaders();
    await once(outgoing, 'continue');
    outgoing.end('hello');
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    expect(await text(response)).toBe('hello');
  });

  it('that is refused before its body is sent gets that answer, and no word to go on', async () => {
    const port = await answering('HTTP/1.1 417 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno');
    const headers = { expect: '100-continue', 'content-length': '5' };
    const outgoing = world.request(world.pathOf(port), { method: 'POST', headers });
    const continued: unknown[] = [];
    outgoing.on('continue', () => continued.push(true)).on('error', () => undefined);
    outgoing.flushHeaders();
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    expect([response.statusCode, await text(response), continued.length]).toEqual([417, 'no', 0]);
  });
});

it('is recorded once for as long as somebody uses a port', async () => {
  const port = await world.serve((_request, response) => void response.end());
  for (let count = 0; count < 3; count += 1) await world.ask(world.pathOf(port));
  const records = (await world.recorded()).filter(({ details }) => details['port'] === port);
  expect(records).toMatchObject([
    { verb: 'tunnel.open', result: 'allowed', agent_id: world.agentId, details: { port, via: 'proxy' } },
  ]);
});

it('leaves neither path nor query in the log', async () => {
  await seen('/secret-path?secret-query');
  expect(world.lines().length).toBeGreaterThan(0);
  expect(JSON.stringify(world.lines())).not.toContain('secret-');
});

describe('an answer', () => {
  it('keeps its status, its text, its headers in order, and every cookie', async () => {
    const lines = [
      'X-A: 1',
      'Set-Cookie: a=1',
      'x-a: 2',
      'Set-Cookie: b=2',
      'Content-Length: 0',
      'Connection: close, x-gone',
      'x-gone: 1',
    ];
    const port = await answering(`HTTP/1.1 299 Fine So Far\r\n${lines.join('\r\n')}\r\n\r\n`);
    const { status, statusText, rawHeaders } = await world.ask(world.pathOf(port));
    expect([status, statusText]).toEqual([299, 'Fine So Far']);
    expect(rawHeaders.slice(0, 10)).toEqual([
      'X-A',
      '1',
      'Set-Cookie',
      'a=1',
      'x-a',
      '2',
      'Set-Cookie',
      'b=2',
      'Content-Length',
      '0',
    ]);
    expect(headersOf(rawHeaders, 'x-gone')).toEqual([]);
    expect(headersOf(rawHeaders, 'date')).toEqual([]);
  });

  it('cannot act on the origin of the console', async () => {
    const port = await world.serve((_request, response) => {
      response.setHeader('clear-site-data', '"*"').setHeader('strict-transport-security', 'max-age=1');
      response.setHeader('service-worker-allowed', '/').setHeader('set-cookie', 'drawbridge=x');
      response.end('<script>alert(1)</script>');
    });
    const { headers } = await world.ask(world.pathOf(port));
    expect(headers).toMatchObject({
      'content-security-policy': 'sandbox',
      'x-content-type-options': 'nosniff',
      'set-cookie': ['drawbridge=x'],
    });
    for (const name of ['clear-site-data', 'strict-transport-security', 'service-worker-allowed'])
      expect(headers).not.toHaveProperty(name);
    const toPage = await world.ask(world.pathOf(port), { headers: { 'sec-fetch-mode': 'cors' } });
    expect(toPage.headers).not.toHaveProperty('set-cookie');
  });

  it('is not unpacked', async () => {
    const packed = gzipSync('hello');
    const port = await world.serve((_request, response) => {
      response.setHeader('content-encoding', 'gzip').end(packed);
    });
    const { headers, body } = await world.ask(world.pathOf(port));
    expect(headers).toMatchObject({ 'content-encoding': 'gzip', 'content-length': String(packed.byteLength) });
    expect(body).toEqual(packed);
  });

  it('to HEAD has the length and no body; 204 and 304 have neither', async () => {
    const port = await world.serve((request, response) => {
      if (request.method === 'HEAD') response.setHeader('content-length', '5').end();
      else response.writeHead(request.url === '/304' ? 304 : 204).end();
    });
    const head = await world.ask(world.pathOf(port), { method: 'HEAD' });
    expect([head.headers['content-length'], head.body.byteLength]).toEqual(['5', 0]);
    const [none, same] = [await world.ask(world.pathOf(port, '/204')), await world.ask(world.pathOf(port, '/304'))];
    expect([none.status, same.status]).toEqual([204, 304]);
    expect([none.headers['transfer-encoding'], same.headers['transfer-encoding']]).toEqual([undefined, undefined]);
  });

  it('that has trailers is answered to HEAD as well, and to HTTP/1.0', async () => {
    const head = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\nConnection: close\r\n\r\n';
    const port = await answering(`${head}5\r\nhello\r\n0\r\nx-sum: 5\r\n\r\n`);
    const heads = await answering(head);
    expect((await world.ask(world.pathOf(heads), { method: 'HEAD' })).status).toBe(200);
    const old = await world.raw(`GET ${world.pathOf(port)} HTTP/1.0\r\nAuthorization: Bearer ${world.token}\r\n\r\n`);
    expect(old).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nhello$/);
  });

  it('comes with its trailers', async () => {
    const port = await world.serve((_request, response) => {
      response.writeHead(200, { trailer: 'x-sum' });
      response.write('hello');
      response.addTrailers({ 'x-sum': '5' });
      response.end();
    });
    const { headers, trailers, body } = await world.ask(world.pathOf(port));
    expect([headers.trailer, trailers, String(body)]).toEqual(['x-sum', ['x-sum', '5'], 'hello']);
  });

  it('is told of before it comes, where its service gives hints', async () => {
    const port = await world.serve((_request, response) => {
      response.writeEarlyHints({ link: '</style.css>; rel=preload; as=style' });
      response.end('done');
    });
    const outgoing = world.request(world.pathOf(port));
    const hinted = once(outgoing, 'information');
    outgoing.end();
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    response.resume();
    expect(await hinted).toMatchObject([{ statusCode: 103, headers: { link: '</style.css>; rel=preload; as=style' } }]);
  });

  it('comes event by event, its head before the first', async () => {
    const parts: (() => void)[] = [];
    const port = await world.serve((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
      for (const part of ['data: 1\n\n', 'data: 2\n\n']) parts.push(() => void response.write(part));
      parts.push(() => void response.end());
    });
    const { response } = await world.begin(world.pathOf(port));
    expect(response.headers['content-type']).toBe('text/event-stream');
    response.setEncoding('utf8');
    for (const event of ['data: 1\n\n', 'data: 2\n\n']) {
      parts.shift()?.();
      expect((await once(response, 'data'))[0]).toBe(event);
    }
    parts.shift()?.();
    await once(response, 'end');
    expect(response.complete).toBe(true);
  });

  it('without a length ends where its service ends it', async () => {
    const port = await answering('HTTP/1.0 200 OK\r\n\r\nall of it');
    expect(String((await world.ask(world.pathOf(port))).body)).toBe('all of it');
  });

  it('may be over before the question: what still comes is dropped', async () => {
    const port = await answering('HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig');
    const outgoing = world.request(world.pathOf(port), { method: 'POST' });
    outgoing.on('error', () => undefined);
    outgoing.write('x'.repeat(100_000));
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    expect([response.statusCode, await text(response)]).toEqual([413, 'big']);
    const closed = new Promise((resolve) => void outgoing.once('close', resolve));
    await world.clock.advance(5_000);
    await closed;
  });
});

function headersOf(raw: readonly string[], name: string): string[] {
  return raw.flatMap((key, at) => (at % 2 === 0 && key.toLowerCase() === name ? [raw[at + 1] ?? ''] : []));
}

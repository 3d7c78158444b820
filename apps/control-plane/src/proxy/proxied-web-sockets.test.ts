import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import { eventually } from '@drawbridge/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { enter } from '../rights-model-fixture.ts';
import { PROXY_LIMITS } from './limits.ts';
import { ProxiedWorld } from './proxied-world-fixture.ts';

/** A service's end of one WebSocket, and how it was asked for. */
interface Served {
  readonly ws: WebSocket;
  readonly request: IncomingMessage;
  readonly closed: Promise<readonly [code: number, reason: string]>;
}

let world: ProxiedWorld;
beforeAll(async () => {
  world = await ProxiedWorld.make();
});
afterAll(() => world[Symbol.asyncDispose]());

/** A service of WebSockets that chooses this subprotocol; `next` is its end of the next one. */
async function service(choose: (offered: Set<string>) => string | false = () => false) {
  const server: Server = createServer();
  const sockets = new WebSocketServer({ server, handleProtocols: choose, maxPayload: 64 * 1_048_576 });
  const port = await world.host(server);
  const next = async (): Promise<Served> => {
    const [ws, request] = (await once(sockets, 'connection')) as [WebSocket, IncomingMessage];
    ws.on('error', () => undefined);
    return { ws, request, closed: closeOf(ws) };
  };
  return { port, next };
}

async function closeOf(ws: WebSocket): Promise<readonly [code: number, reason: string]> {
  const [code, reason] = (await once(ws, 'close')) as [number, Buffer];
  return [code, reason.toString()];
}

/** Both ends of a WebSocket, open. */
async function pair(
  ask: Parameters<ProxiedWorld['webSocket']>[1] = {},
  choose?: (offered: Set<string>) => string | false,
) {
  const { port, next } = await service(choose);
  const serving = next();
  const ws = world.webSocket(world.pathOf(port, '/a/../pty?pty=1&since=5'), ask);
  const opened = once(ws, 'open');
  const [served] = await Promise.all([serving, opened]);
  return { client: ws, closed: closeOf(ws), service: served };
}

async function messageOf(ws: WebSocket): Promise<readonly [text: string, isBinary: boolean]> {
  const [data, isBinary] = (await once(ws, 'message')) as [Buffer, boolean];
  return [data.toString(), isBinary];
}

describe('a WebSocket', () => {
  it('carries text as text and binary as binary, both ways', async () => {
    const { client, service: served } = await pair();
    for (const [from, to] of [
      [client, served.ws],
      [served.ws, client],
    ] as const) {
      for (const isBinary of [false, true]) {
        const heard = messageOf(to);
        from.send(Buffer.from('grüß'), { binary: isBinary });
        expect(await heard).toEqual(['grüß', isBinary]);
      }
    }
    client.terminate();
  });

  it('reaches its service with its path and query as they came, its Origin, its own headers, and no credential', async () => {
    const headers = {
      'x-own': '1',
      cookie: 'drawbridge=dbs_x',
      origin: 'http://page.example',
    };
    const { client, service: served } = await pair({ headers });
    const { request } = served;
    expect(request.url).toBe('/a/../pty?pty=1&since=5');
    expect(request.headers).toMatchObject({ 'x-own': '1', origin: 'http://page.example' });
    expect(request.headers.host).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(request.headers['sec-websocket-extensions']).toBeUndefined();
    for (const name of ['authorization', 'cookie']) expect(request.headers).not.toHaveProperty(name);
    expect(request.rawHeaders.join()).not.toContain(world.token);
    client.terminate();
  });

  it('speaks the subprotocol its service has chosen of those it offered', async () => {
    const { client, service: served } = await pair(
      { protocols: ['one', 'two'] },
      (offered) => [...offered].at(-1) ?? false,
    );
    expect([client.protocol, served.ws.protocol]).toEqual(['two', 'two']);
    client.terminate();
  });

  it('speaks none where its service chooses none; what the client makes of that is its own business', async () => {
    const { port, next } = await service();
    const serving = next();
    const ws = world.webSocket(world.pathOf(port), { protocols: ['one'] });
    const answered = once(ws, 'upgrade');
    const [[answer], served] = await Promise.all([answered as Promise<[IncomingMessage]>, serving]);
    expect(answer.headers['sec-websocket-protocol']).toBeUndefined();
    expect(served.request.headers['sec-websocket-protocol']).toBe('one');
    ws.terminate();
  });

  it('loses nothing that its service says before the client is there', async () => {
    const { port, next } = await service();
    const serving = next().then(({ ws }) => ws.send('welcome'));
    const ws = world.webSocket(world.pathOf(port));
    expect(await messageOf(ws)).toEqual(['welcome', false]);
    await serving;
    ws.terminate();
  });

  it('takes messages of 16 MiB, both ways', async () => {
    const { client, service: served } = await pair();
    const big = Buffer.alloc(PROXY_LIMITS.messageBytesMax, 'x');
    for (const [from, to] of [
      [client, served.ws],
      [served.ws, client],
    ] as const) {
      const heard = once(to, 'message') as Promise<[Buffer]>;
      from.send(big);
      expect((await heard)[0].equals(big)).toBe(true);
    }
    client.terminate();
  });

  it.each(['client', 'service'])('is closed with 1009 at both ends for a longer one of its %s', async (who) => {
    const { client, closed, service: served } = await pair();
    const big = Buffer.alloc(PROXY_LIMITS.messageBytesMax + 1);
    (who === 'client' ? client : served.ws).send(big, () => undefined);
    expect((await closed)[0]).toBe(1009);
    expect((await served.closed)[0]).toBe(1009);
  });

  it('is read no faster than its other end reads', async () => {
    const { client, service: served } = await pair();
    client.pause();
    const chunk = Buffer.alloc(262_144);
    let sentBytes = 0;
    const send = () => {
      if (sentBytes >= 200_000_000 || served.ws.readyState !== WebSocket.OPEN) return;
      sentBytes += chunk.byteLength;
      served.ws.send(chunk, send);
    };
    send();
    let before = -1;
    await eventually(
      () => {
        const isStill = before === sentBytes;
        before = sentBytes;
        return isStill;
      },
      { what: 'the service to be stopped', timeoutMs: 15_000 },
    );
    expect(sentBytes).toBeLessThan(60_000_000);
    client.terminate();
  });
});

describe('the end of a WebSocket', () => {
  it.each([
    ['client', 1000, 'done'],
    ['client', 4001, 'TAKEN_OVER'],
    ['client', 1011, ''],
    ['service', 1000, 'process exited'],
    ['service', 4001, 'TAKEN_OVER'],
    ['service', 1013, 'ü'.repeat(61)],
  ])('of the %s with %i %s is told to the other', async (who, code, reason) => {
    const { client, closed, service: served } = await pair();
    (who === 'client' ? client : served.ws).close(code, reason);
    expect(await closed).toEqual([code, reason]);
    expect(await served.closed).toEqual([code, reason]);
  });

  it('of a client without a code, or without a word, is 1000 to its service', async () => {
    const quiet = await pair();
    quiet.client.close();
    expect((await quiet.service.closed)[0]).toBe(1000);
    const gone = await pair();
    gone.client.terminate();
    expect((await gone.service.closed)[0]).toBe(1000);
  });

  it('of a service without a code is 1000 to its client, and without a word 1011', async () => {
    const quiet = await pair();
    quiet.service.ws.close();
    expect((await quiet.closed)[0]).toBe(1000);
    const gone = await pair();
    gone.service.ws.terminate();
    expect(await gone.closed).toEqual([1011, 'the service dropped the connection']);
  });

  it('comes behind all messages before it', async () => {
    const { client, closed, service: served } = await pair();
    const heard: string[] = [];
    client.on('message', (data: Buffer) => heard.push(data.toString()));
    for (let count = 0; count < 100; count += 1) served.ws.send(String(count));
    served.ws.close(1000, 'all said');
    expect(await closed).toEqual([1000, 'all said']);
    expect(heard).toEqual(Array.from({ length: 100 }, (_, count) => String(count)));
  });

  it('comes when its tunnel breaks', async () => {
    const { closed } = await pair();
    world.cutTunnel();
    expect((await closed)[0]).toBe(1011);
  });

  it('comes when the right to it has gone, for both', async () => {
    const secret = await enter(world.world, { who: 'an operator', roles: [['operator']], token: {} });
    const { closed, service: served } = await pair({ headers: { authorization: `Bearer ${secret}` } });
    const actor = await world.world.nouns.principals.bySecret(secret);
    await world.world.disable(actor?.userId ?? '');
    expect(await closed).toMatchObject([1008, expect.stringContaining('unauthenticated')]);
    expect((await served.closed)[0]).toBe(1008);
  });

  it('comes when one end answers nothing any more, although it is read', async () => {
    const { client, closed, service: served } = await pair();
    served.ws.pause();
    client.on('ping', () => undefined);
    for (let beat = 0; beat * PROXY_LIMITS.pingMs <= PROXY_LIMITS.silentMs; beat += 1) {
      const pinged = once(client, 'ping').catch(() => undefined);
      await world.clock.advance(PROXY_LIMITS.pingMs);
      if (client.readyState === WebSocket.OPEN) await Promise.race([pinged, closed]);
    }
    expect((await closed)[0]).toBe(1011);
    served.ws.terminate();
  });
});

describe('a WebSocket that does not come about', () => {
  it('is accepted and closed with 1008 for an agent that is not there, or not for this client', async () => {
    const dials = world.dials;
    expect(await closeOf(world.webSocket('/sandboxes/nobody/proxy/80/'))).toEqual([
      1008,
      'agent_not_found: no agent nobody',
    ]);
    const token = await enter(world.world, { who: 'of prod', roles: [['operator', 'prod']] });
    const headers = { authorization: `Bearer ${token}` };
    expect(await closeOf(world.webSocket(world.pathOf(80), { headers }))).toEqual([
      1008,
      `agent_not_found: no agent ${world.agentId}`,
    ]);
    expect(world.dials).toBe(dials);
  });

  it('is closed with 1008 for a viewer, and recorded', async () => {
    const token = await enter(world.world, { who: 'a viewer', roles: [['viewer']] });
    expect(
      (await closeOf(world.webSocket(world.pathOf(80), { headers: { authorization: `Bearer ${token}` } })))[0],
    ).toBe(1008);
    expect((await world.recorded())[0]).toMatchObject({
      verb: 'tunnel.open',
      result: 'denied',
      agent_id: world.agentId,
    });
  });

  it('is closed with 1008 and the status when its service answers otherwise', async () => {
    for (const status of [200, 404, 409]) {
      const port = await world.serveTcp((socket) => {
        socket.resume().once('data', () => socket.end(`HTTP/1.1 ${status} No\r\nContent-Length: 0\r\n\r\n`));
      });
      expect(await closeOf(world.webSocket(world.pathOf(port)))).toEqual([1008, `the service answered with ${status}`]);
    }
  });

  it('is closed with 1011 when nobody listens, and with 1008 when the agent’s policy forbids it', async () => {
    expect(await closeOf(world.webSocket(world.pathOf(1)))).toMatchObject([
      1011,
      expect.stringContaining('target_unreachable'),
    ]);
    world.refusals.push('forbidden');
    expect((await closeOf(world.webSocket(world.pathOf(1))))[0]).toBe(1008);
  });

  it('is closed with 1011 when its service shakes hands wrongly, hangs up, or says nothing', async () => {
    const wrong = 'HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n';
    for (const bytes of [wrong, '', 'not HTTP\r\n\r\n']) {
      const port = await world.serveTcp((socket) => void socket.resume().once('data', () => socket.end(bytes)));
      expect((await closeOf(world.webSocket(world.pathOf(port))))[0]).toBe(1011);
    }
    const asked = Promise.withResolvers<void>();
    const silent = await world.serveTcp((socket) => void socket.once('data', () => asked.resolve()));
    const closed = closeOf(world.webSocket(world.pathOf(silent)));
    await asked.promise;
    await world.clock.advance(PROXY_LIMITS.handshakeTimeoutMs);
    expect(await closed).toMatchObject([1011, expect.stringContaining('timed_out')]);
  });

  it('is opened with headers that have the names of what every object has', async () => {
    const headers = { constructor: 'a', toString: 'b', ['__proto__']: 'c', 'X-A': '1' };
    const { client, service: served } = await pair({ headers });
    expect(served.request.headers).toMatchObject({ constructor: 'a', tostring: 'b', 'x-a': '1' });
    client.terminate();
    await served.closed;
  });

  it('is closed with 1011 when its service chooses what nobody offered', async () => {
    const { port } = await service(() => 'other');
    expect((await closeOf(world.webSocket(world.pathOf(port), { protocols: ['one'] })))[0]).toBe(1011);
  });

  it.each([
    ['the cookie alone', { authorization: '', cookie: 'COOKIE', origin: 'OWN' }, 403],
    ['nothing', { authorization: '' }, 401],
    ['another version', { 'sec-websocket-version': '12' }, 400],
  ])('is refused in HTTP with %s', async (_what, given: Record<string, string>, status) => {
    const own = `http://127.0.0.1:${world.port}`;
    const headers = Object.fromEntries(
      Object.entries({ authorization: `Bearer ${world.token}`, ...given })
        .filter(([, value]) => value !== '')
        .map(([name, value]) => [name, value.replace('COOKIE', `drawbridge=${world.token}`).replace('OWN', own)]),
    );
    const lines = Object.entries({
      host: `127.0.0.1:${world.port}`,
      connection: 'upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
      ...headers,
    }).map(([name, value]) => `${name}: ${value}\r\n`);
    expect(await world.raw(`GET ${world.pathOf(80)} HTTP/1.1\r\n${lines.join('')}\r\n`)).toContain(
      `HTTP/1.1 ${status} `,
    );
  });

  it('leaves nothing under way', async () => {
    await eventually(() => world.underWay() === 0, { what: 'nothing to be under way', timeoutMs: 15_000 });
  });
});

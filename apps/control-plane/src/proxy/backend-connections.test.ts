import { once } from 'node:events';
import { eventually } from '@drawbridge/testkit';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { PROXY_LIMITS } from './limits.ts';
import { ProxiedWorld } from './proxied-world-fixture.ts';

let world: ProxiedWorld;
beforeEach(async () => {
  world = await ProxiedWorld.make();
});
afterEach(() => world[Symbol.asyncDispose]());

const channels = () => world.world.nouns.tunnels.list()[0]?.channels ?? 0;
const untilIdle = (count: number) => eventually(() => channels() === count, { what: `${count} channels` });

it('keeps a connection for the next that may be sent twice, a short while', async () => {
  const port = await world.serve((_request, response) => void response.end('x'));
  for (let count = 0; count < 5; count += 1) {
    expect((await world.ask(world.pathOf(port))).status).toBe(200);
    await untilIdle(1);
  }
  expect(world.dials).toBe(1);
  await world.clock.advance(PROXY_LIMITS.idleMs);
  await untilIdle(0);
  expect((await world.ask(world.pathOf(port))).status).toBe(200);
  expect(world.dials).toBe(2);
});

it('takes a new one for what must not be sent twice, and says so', async () => {
  const said: (string | undefined)[] = [];
  const port = await world.serve((request, response) => {
    said.push(request.headers.connection);
    request.resume().once('end', () => response.end('x'));
  });
  for (const method of ['GET', 'POST', 'GET'])
    await world.ask(world.pathOf(port), { method, body: method === 'POST' ? 'x' : '' });
  expect(world.dials).toBe(2);
  expect(said).toEqual(['keep-alive', 'close', 'keep-alive']);
});

it('keeps only so many', async () => {
  const held: (() => void)[] = [];
  const port = await world.serve((_request, response) => void held.push(() => response.end('x')));
  const count = PROXY_LIMITS.idlePerPortMax + 4;
  const asked = Array.from({ length: count }, () => world.ask(world.pathOf(port)));
  await eventually(() => held.length === count, { what: 'all of them' });
  for (const release of held) release();
  await Promise.all(asked);
  await untilIdle(PROXY_LIMITS.idlePerPortMax);
});

it('asks again when a service has closed the connection it kept', async () => {
  let served = 0;
  const port = await world.serveTcp((socket) => {
    socket.on('data', () => {
      served += 1;
      // The second question on a connection finds it closed.
      if (served === 2) socket.resetAndDestroy();
      else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    });
  });
  for (let count = 0; count < 2; count += 1) {
    expect(String((await world.ask(world.pathOf(port))).body)).toBe('ok');
    if (count === 0) await untilIdle(1);
  }
  expect([served, world.dials]).toEqual([3, 2]);
});

it('drops one on which its service says something nobody asked for', async () => {
  const speak = Promise.withResolvers<() => void>();
  const port = await world.serveTcp((socket) => {
    speak.resolve(() => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'));
    socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood'));
  });
  expect(String((await world.ask(world.pathOf(port))).body)).toBe('good');
  await untilIdle(1);
  (await speak.promise)();
  await untilIdle(0);
  expect(String((await world.ask(world.pathOf(port))).body)).toBe('good');
});

it('drops those that their service closes, and all of them with their tunnel', async () => {
  const sockets: { destroy(): void }[] = [];
  const port = await world.serve((request, response) => {
    sockets.push(request.socket);
    response.end('x');
  });
  await world.ask(world.pathOf(port));
  await untilIdle(1);
  sockets[0]?.destroy();
  await untilIdle(0);
  await world.ask(world.pathOf(port));
  await untilIdle(1);
  world.cutTunnel();
  await eventually(() => world.world.nouns.tunnels.size === 0, { what: 'the tunnel to be gone' });
  expect((await world.ask(world.pathOf(port))).status).toBe(200);
});

it('gives a connection up when its client goes while it is being made', async () => {
  const outgoing = world.request(world.pathOf(await world.serve(() => undefined)));
  outgoing.on('error', () => undefined).end();
  await once(outgoing, 'socket');
  outgoing.destroy();
  await eventually(() => world.underWay() === 0 && channels() === 0, { what: 'nothing to be left' });
});

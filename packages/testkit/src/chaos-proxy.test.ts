import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ChaosProxy } from './chaos-proxy.ts';
import { eventually } from './eventually.ts';
import { FakeClock } from './fake-clock.ts';
import { listeningPort } from './listening-port.ts';
import { RecordedEnd } from './recorded-end.ts';

let server: Server;
let accepted: RecordedEnd[];
let proxy: ChaosProxy;
let dialled: Socket[];

beforeEach(async () => {
  accepted = [];
  dialled = [];
  server = createServer({ allowHalfOpen: true }, (socket) => accepted.push(new RecordedEnd(socket)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  proxy = await ChaosProxy.start({ to: { host: '127.0.0.1', port: listeningPort(server) } });
});

afterEach(async () => {
  for (const socket of dialled) socket.destroy();
  for (const { socket } of accepted) socket.destroy();
  await proxy[Symbol.asyncDispose]();
  server.close();
});

function dial(through = proxy): RecordedEnd {
  const socket = connect({ port: through.port, host: '127.0.0.1', allowHalfOpen: true });
  dialled.push(socket);
  return new RecordedEnd(socket);
}

/** Both ends of a new connection through the proxy. */
async function pair(through = proxy): Promise<{ client: RecordedEnd; target: RecordedEnd }> {
  const before = accepted.length;
  const client = dial(through);
  const target = await eventually(() => accepted[before], { what: 'the connection to arrive' });
  return { client, target };
}

it('passes bytes both ways and counts them', async () => {
  const { client, target } = await pair();
  client.socket.write('hello');
  target.socket.write('hi');
  await target.hears('hello');
  await client.hears('hi');
  expect(proxy.carriedBytes('up')).toBe(5);
  expect(proxy.carriedBytes('down')).toBe(2);
  expect(proxy.connections).toBe(1);
});

it.each(['client', 'target'] as const)(
  'passes a half-close of the %s on, and lets the other half go on',
  async (first) => {
    const { client, target } = await pair();
    const [one, other] = first === 'client' ? [client, target] : [target, client];
    one.socket.end('last');
    await other.happens('FIN');
    expect(other.text).toBe('last');
    other.socket.end('answer');
    await one.hears('answer');
    await one.happens('FIN');
    await eventually(() => proxy.openConnections === 0, { what: 'the connection to be over' });
  },
);

it('passes a reset on', async () => {
  const { client, target } = await pair();
  client.socket.resetAndDestroy();
  await target.happens('ECONNRESET');
  expect(target.events).toEqual(['ECONNRESET']);
});

it('resets the client when the target refuses', async () => {
  server.close();
  const client = dial();
  await client.happens('ECONNRESET');
  expect(client.events).toEqual(['ECONNRESET']);
});

it('carries more than it holds, unharmed', async () => {
  const { client, target } = await pair();
  const bytes = Buffer.alloc(20 * 1024 * 1024, 'the bytes of a long stream ');
  client.socket.end(bytes);
  await target.happens('FIN');
  expect(target.bytes.equals(bytes)).toBe(true);
});

it('delays one direction and keeps the order', async () => {
  const clock = new FakeClock();
  await using delayed = await ChaosProxy.start({ to: { host: '127.0.0.1', port: listeningPort(server) }, clock });
  const { client, target } = await pair(delayed);
  delayed.delay(80, 'up');
  client.socket.write('a');
  client.socket.write('b');
  target.socket.write('back');
  await client.hears('back');
  expect(target.text).toBe('');
  await eventually(() => clock.pending > 0, { what: 'the bytes to be under way' });
  await clock.advance(79);
  target.socket.write(' again');
  await client.hears('back again');
  expect(target.text).toBe('');
  await eventually(
    async () => {
      await clock.advance(80);
      return target.text === 'ab';
    },
    { what: 'both bytes' },
  );
});

it('throttles to the rate', async () => {
  const { client, target } = await pair();
  proxy.throttle(100_000);
  const sentMs = performance.now();
  client.socket.write(Buffer.alloc(20_000));
  await eventually(() => target.bytes.byteLength, { what: 'all bytes', until: (byteCount) => byteCount === 20_000 });
  // The first slice of 2000 bytes is free, the other nine wait 20 ms each.
  expect(performance.now() - sentMs).toBeGreaterThanOrEqual(179);
});

it('stops reading from a sender that is faster than the throttle', async () => {
  const { client } = await pair();
  proxy.throttle(1000);
  client.socket.write(Buffer.alloc(32 * 1024 * 1024));
  await eventually(() => proxy.carriedBytes('up') > 100, { what: 'some bytes to pass' });
  expect(client.socket.writableLength).toBeGreaterThan(8 * 1024 * 1024);
});

it('stops reading from a sender whose receiver does not read', async () => {
  const { client, target } = await pair();
  target.socket.pause();
  const bytes = Buffer.alloc(64 * 1024 * 1024);
  client.socket.end(bytes);
  await eventually(() => proxy.carriedBytes('up') > 0, { what: 'some bytes to pass' });
  await pair();
  expect(proxy.carriedBytes('up')).toBeLessThan(32 * 1024 * 1024);
  target.socket.resume();
  await target.happens('FIN');
  expect(target.bytes.byteLength).toBe(bytes.byteLength);
});

it('leaves no timer behind, however often the faults change', async () => {
  const clock = new FakeClock();
  await using delayed = await ChaosProxy.start({ to: { host: '127.0.0.1', port: listeningPort(server) }, clock });
  const { client, target } = await pair(delayed);
  delayed.delay(1000, 'up');
  client.socket.write('late');
  await eventually(() => clock.pending > 0, { what: 'the bytes to be under way' });
  for (const delayMs of [1, 2, 3]) delayed.delay(delayMs);
  expect(clock.pending).toBe(1);
  await clock.advance(1000);
  await target.hears('late');
  expect(clock.pending).toBe(0);
  client.socket.write('never');
  await eventually(() => clock.pending > 0, { what: 'the bytes to be under way' });
  delayed.cut();
  expect(clock.pending).toBe(0);
});

it('cuts with FIN on both sides', async () => {
  const { client, target } = await pair();
  proxy.cut();
  await client.happens('FIN');
  await target.happens('FIN');
  expect([...client.events, ...target.events]).toEqual(['FIN', 'FIN']);
});

it('hears the answer to its FIN, even when nothing was read before', async () => {
  const { client, target } = await pair();
  proxy.blackhole();
  client.socket.write('unread');
  proxy.cut();
  await Promise.all([client.happens('FIN'), target.happens('FIN')]);
  client.socket.end();
  target.socket.end();
  await eventually(() => proxy.openConnections === 0, { what: 'the connection to be over' });
  expect([...client.events, ...target.events]).toEqual(['FIN', 'FIN']);
});

it('resets both sides', async () => {
  const { client, target } = await pair();
  proxy.reset();
  await client.happens('ECONNRESET');
  await target.happens('ECONNRESET');
  expect([...client.events, ...target.events]).toEqual(['ECONNRESET', 'ECONNRESET']);
});

it.each([1, 5, 9, 10])('cuts right behind byte %i, once', async (byteCount) => {
  proxy.cutAfterBytes(byteCount, 'up');
  const { client, target } = await pair();
  client.socket.write('0123456789');
  await target.happens('FIN');
  await client.happens('FIN');
  expect(target.text).toBe('0123456789'.slice(0, byteCount));

  const second = await pair();
  second.client.socket.write('0123456789ab');
  await second.target.hears('0123456789ab');
});

it.each([0, 3, 7])('flips one bit behind byte %i, once, however the bytes are sliced', async (afterBytes) => {
  const { client, target } = await pair();
  proxy.corrupt({ afterBytes }, 'up');
  client.socket.write('0000');
  await eventually(() => target.bytes.byteLength === 4, { what: 'the first half' });
  client.socket.write('000000');
  await eventually(() => target.bytes.byteLength === 10, { what: 'the second half' });
  expect(target.text).toBe(`${'0'.repeat(afterBytes)}1${'0'.repeat(9 - afterBytes)}`);
});

describe('a black hole', () => {
  it('lets nothing through, and everything once it is healed', async () => {
    const { client, target } = await pair();
    proxy.blackhole();
    client.socket.end('lost?');
    target.socket.write('lost too?');
    const late = dial();
    late.socket.write('hello?');
    await eventually(() => client.socket.writableFinished, { what: 'the kernel to take the bytes' });
    // Another connection, around the hole, shows that time has passed for the sockets.
    await roundTrip();
    expect([client.text, target.text, target.events, accepted.length]).toEqual(['', '', [], 2]);

    proxy.heal();
    await target.hears('lost?');
    await target.happens('FIN');
    await client.hears('lost too?');
    const lateTarget = await eventually(() => accepted[2], { what: 'the late connection' });
    await lateTarget.hears('hello?');
  });

  it('can be one-way', async () => {
    const { client, target } = await pair();
    proxy.blackhole('down');
    target.socket.write('answer');
    client.socket.write('question');
    await target.hears('question');
    expect(client.text).toBe('');
  });

  async function roundTrip(): Promise<void> {
    const socket = connect(listeningPort(server), '127.0.0.1');
    dialled.push(socket);
    const around = new RecordedEnd(socket);
    const end = await eventually(() => accepted[1], { what: 'the connection around the hole' });
    end.socket.write('pong');
    await around.hears('pong');
  }
});

it('forgets half-open connections for good and serves new ones', async () => {
  const { client, target } = await pair();
  proxy.halfOpen();
  client.socket.write('anyone?');
  const second = await pair();
  second.client.socket.write('here');
  await second.target.hears('here');
  proxy.heal();
  second.client.socket.write('!');
  await second.target.hears('here!');
  expect([target.text, target.events, client.events]).toEqual(['', [], []]);
  expect(proxy.openConnections).toBe(2);
});

it('forgets a connection that was made in the dark', async () => {
  proxy.blackhole();
  dial();
  await eventually(() => proxy.connections === 1, { what: 'the connection' });
  proxy.halfOpen();
  proxy.heal();
  await pair();
  expect(accepted).toHaveLength(1);
});

it('refuses new connections until it is healed, and keeps the old', async () => {
  const { client, target } = await pair();
  proxy.refuse();
  const refused = dial();
  await refused.happens('ECONNRESET');
  client.socket.write('still here');
  await target.hears('still here');
  proxy.heal();
  await pair();
  expect(accepted).toHaveLength(2);
});

it('takes a URL and gives one with the same scheme', async () => {
  await using named = await ChaosProxy.start({ to: `wss://127.0.0.1:${listeningPort(server)}/path` });
  expect(named.url).toBe(`wss://127.0.0.1:${named.port}`);
});

it('ends its connections when it is disposed of, twice if need be', async () => {
  const { client, target } = await pair();
  await proxy[Symbol.asyncDispose]();
  await proxy[Symbol.asyncDispose]();
  await client.happens('ECONNRESET');
  await target.happens('ECONNRESET');
  expect(proxy.openConnections).toBe(0);
});

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect, it } from 'vitest';
import { FakeClock, requires } from '@drawbridge/testkit';
import { AGENT_LIMITS } from '../limits.ts';
import { ListenerCheck } from './listeners.ts';

const portOf = (address: unknown): number =>
  typeof address === 'object' && address !== null && 'port' in address ? Number(address.port) : NaN;

/** What the process listens on beyond what the test runner itself may. */
async function added(check: ListenerCheck, before: readonly string[] | undefined): Promise<readonly string[]> {
  return ((await check.listeners()) ?? []).filter((address) => !before?.includes(address));
}

it.runIf(requires('linux'))('finds a TCP socket that listens, on loopback too, and only while it does', async () => {
  const check = new ListenerCheck(new FakeClock());
  const before = await check.listeners();
  for (const [host, prefix] of [
    ['127.0.0.1', 'tcp 127.0.0.1'],
    ['0.0.0.0', 'tcp 0.0.0.0'],
  ] as const) {
    const server = createServer().listen(0, host);
    await once(server, 'listening');
    expect(await added(check, before)).toEqual([`${prefix}:${portOf(server.address())}`]);
    server.close();
    await once(server, 'close');
    expect(await added(check, before)).toEqual([]);
  }
});

it.runIf(requires('linux'))('finds a bound UDP socket once it has lived longer than a lookup', async () => {
  const clock = new FakeClock();
  const check = new ListenerCheck(clock);
  const before = await check.listeners();
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const expected = `udp 127.0.0.1:${portOf(socket.address())}`;
  expect(await added(check, before)).toEqual([]);
  await clock.advance(AGENT_LIMITS.udpLookupMs - 1);
  expect(await added(check, before)).toEqual([]);
  await clock.advance(1);
  expect(await added(check, before)).toEqual([expected]);
  socket.close();
});

it.runIf(requires('linux'))('never counts a connected UDP socket', async () => {
  const clock = new FakeClock();
  const check = new ListenerCheck(clock);
  const before = await check.listeners();
  const socket = createSocket('udp4');
  socket.connect(9, '127.0.0.1');
  await once(socket, 'connect');
  await check.listeners();
  await clock.advance(AGENT_LIMITS.udpLookupMs);
  expect(await added(check, before)).toEqual([]);
  socket.close();
});

it('does not know on a system without /proc', async () => {
  expect(await new ListenerCheck(new FakeClock(), '/no/proc').listeners()).toBeUndefined();
});

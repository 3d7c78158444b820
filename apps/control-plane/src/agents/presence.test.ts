import { LIMITS } from '@drawbridge/protocol';
import { FakeClock } from '@drawbridge/testkit';
import { beforeEach, expect, it } from 'vitest';
import { MemoryBus } from '../bus/memory.ts';
import { recordedLink } from '../control-plane-fixture.ts';
import { Presence } from './presence.ts';

const AGENT = 'a';
let clock: FakeClock;
let bus: MemoryBus;
let presence: Presence;
beforeEach(() => {
  clock = new FakeClock();
  bus = new MemoryBus();
  presence = new Presence(bus, clock);
});

function link(epoch: number, instance?: string) {
  return recordedLink({ agentId: AGENT, epoch, instance });
}

it('knows the newest link of each agent', () => {
  const [first, second, other] = [link(1), link(2), recordedLink({ agentId: 'b', epoch: 1 })];
  expect(presence.attach(first)).toMatchObject({ superseded: undefined });
  presence.attach(other);
  expect(presence.attach(second)).toMatchObject({ superseded: first });
  expect(presence.current(AGENT)).toBe(second);
  expect([presence.isCurrent(first), presence.isCurrent(second), presence.isCurrent(other)]).toEqual([
    false,
    true,
    true,
  ]);
  expect(presence.size).toBe(2);
  expect([...presence.links()]).toEqual([second, other]);
});

it('refuses a handshake that was overtaken by a newer one', () => {
  const newer = link(2);
  presence.attach(newer);
  expect(presence.attach(link(1))).toBeUndefined();
  expect(presence.current(AGENT)).toBe(newer);
});

it('does not take an agent offline when a link ends that was replaced', () => {
  const [old, current] = [link(1), link(2)];
  presence.attach(old);
  presence.attach(current);
  expect(presence.detach(old)).toBe(false);
  expect(presence.current(AGENT)).toBe(current);
  expect(presence.detach(current)).toBe(true);
  expect(presence.detach(current)).toBe(false);
  expect(presence.size).toBe(0);
});

it('wakes up who waits for the agent, at both ends of a link', () => {
  let woken = 0;
  bus.subscribe(`agent:${AGENT}`, () => (woken += 1));
  const only = link(1);
  presence.attach(only);
  expect(woken).toBe(1);
  presence.detach(only);
  expect(woken).toBe(2);
});

it('sees two machines that take turns under one identity', () => {
  presence.attach(link(1, 'here'));
  expect(presence.attach(link(2, 'there'))?.duplicateIdentity).toBe(false);
  expect(presence.attach(link(3, 'here'))?.duplicateIdentity).toBe(true);
  expect(presence.attach(link(4, 'there'))?.duplicateIdentity).toBe(true);
});

it('takes neither a reconnect nor a restart for a second machine', () => {
  presence.attach(link(1, 'first process'));
  expect(presence.attach(link(2, 'first process'))?.duplicateIdentity).toBe(false);
  expect(presence.attach(link(3, 'second process'))?.duplicateIdentity).toBe(false);
  expect(presence.attach(link(4, 'third process'))?.duplicateIdentity).toBe(false);
});

it('forgets a supersession after ten minutes', async () => {
  presence.attach(link(1, 'here'));
  presence.attach(link(2, 'there'));
  await clock.advance(LIMITS.supersededWindowMs);
  expect(presence.attach(link(3, 'here'))?.duplicateIdentity).toBe(false);
});

import { FakeClock, settle } from '@drawbridge/testkit';
import { beforeEach, expect, it } from 'vitest';
import { MemoryBus } from './memory.ts';
import { waitUntil } from './wait-until.ts';

let bus: MemoryBus;
let clock: FakeClock;
let looks: number;
let found: string | undefined;
beforeEach(() => {
  bus = new MemoryBus();
  clock = new FakeClock();
  looks = 0;
  found = undefined;
});

function wait(signal: AbortSignal = new AbortController().signal): Promise<string> {
  const look = async () => {
    looks += 1;
    await settle();
    return found;
  };
  return waitUntil({ bus, clock }, 'task:1', look, signal);
}

it('returns at once what is there', async () => {
  found = 'it';
  expect(await wait()).toBe('it');
  expect(looks).toBe(1);
  expect(clock.pending).toBe(0);
});

it('looks again when the topic changes', async () => {
  const waited = wait();
  await clock.advance(0);
  found = 'it';
  bus.publish('task:1');
  expect(await waited).toBe('it');
  expect(looks).toBe(2);
  expect(clock.pending).toBe(0);
});

it('does not miss a change that comes while it looks', async () => {
  const waited = wait();
  bus.publish('task:1');
  await clock.advance(0);
  await settle();
  found = 'it';
  await clock.advance(4_999);
  // The first look saw nothing; the change during it made a second one, without a poll.
  expect(looks).toBeGreaterThanOrEqual(2);
  await clock.advance(1);
  expect(await waited).toBe('it');
});

it('finds it by itself within five seconds when the wake-up was lost', async () => {
  const waited = wait();
  await clock.advance(1);
  found = 'it';
  await clock.advance(4_998);
  expect(looks).toBe(1);
  await clock.advance(1);
  expect(await waited).toBe('it');
});

it('stops with the reason of its signal, before it looks and while it waits', async () => {
  const over = new AbortController();
  const waited = wait(over.signal);
  await clock.advance(0);
  over.abort(new Error('no longer'));
  await expect(waited).rejects.toThrow('no longer');
  expect(clock.pending).toBe(0);
  await expect(wait(over.signal)).rejects.toThrow('no longer');
  expect(looks).toBe(1);
});

it('rejects with what the look threw, leaving nobody subscribed', async () => {
  const failing = waitUntil(
    { bus, clock },
    'task:1',
    () => Promise.reject(new Error('gone')),
    new AbortController().signal,
  );
  await expect(failing).rejects.toThrow('gone');
  expect(clock.pending).toBe(0);
});

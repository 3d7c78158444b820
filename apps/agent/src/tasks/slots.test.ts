import { getEventListeners } from 'node:events';
import { expect, it } from 'vitest';
import { Slots } from './slots.ts';

const never = new AbortController().signal;

it('gives a place back once, however often that is said', async () => {
  const slots = new Slots(1, 10);
  const first = await slots.acquire(never);
  first[Symbol.dispose]();
  const second = await slots.acquire(never);
  first[Symbol.dispose]();
  expect(slots.taken).toBe(1);
  second[Symbol.dispose]();
  expect(slots.taken).toBe(0);
});

it('lets go of the signal of one who got a place', async () => {
  const slots = new Slots(1, 10);
  const { signal } = new AbortController();
  const first = await slots.acquire(never);
  const waiting = slots.acquire(signal);
  first[Symbol.dispose]();
  using _second = await waiting;
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});

it('turns away whom it has no room to let wait', async () => {
  const slots = new Slots(1, 1);
  using _first = await slots.acquire(never);
  const leave = new AbortController();
  const waiting = slots.acquire(leave.signal);
  await expect(slots.acquire(never)).rejects.toMatchObject({ code: 'agent_busy' });
  leave.abort(new Error('left'));
  await expect(waiting).rejects.toThrow('left');
});

it.each([0, -1, 1.5, NaN])('is never made of %s places', (count) => {
  expect(() => new Slots(count, 1)).toThrow(RangeError);
});

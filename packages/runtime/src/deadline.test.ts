import { FakeClock } from '@drawbridge/testkit';
import { getEventListeners } from 'node:events';
import { expect, it } from 'vitest';
import { withDeadline } from './deadline.ts';

const NEVER = new AbortController().signal;

function within(clock: FakeClock) {
  return { clock, timeoutMs: 1_000, onTimeout: () => new Error('too slow') };
}

/** Work that ends only when it is called off. */
const endless = (signal: AbortSignal) =>
  new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error('what the work says')), { once: true });
  });

it('hands on what the work gives or throws, and leaves no timer', async () => {
  const clock = new FakeClock();
  expect(await withDeadline(within(clock), NEVER, async () => 5)).toBe(5);
  await expect(withDeadline(within(clock), NEVER, () => Promise.reject(new Error('own')))).rejects.toThrow('own');
  expect(clock.pending).toBe(0);
  expect(getEventListeners(NEVER, 'abort')).toEqual([]);
});

it('calls the work off when its time is up, and says so whatever the work says', async () => {
  const clock = new FakeClock();
  const failed = withDeadline(within(clock), NEVER, endless).catch(String);
  await clock.advance(1_000);
  expect(await failed).toBe('Error: too slow');
});

it('calls the work off when the signal aborts, with its reason', async () => {
  const clock = new FakeClock();
  const controller = new AbortController();
  const failed = withDeadline(within(clock), controller.signal, endless).catch(String);
  controller.abort(new Error('stopped'));
  expect(await failed).toBe('Error: stopped');
  expect(clock.pending).toBe(0);
});

import { FakeClock } from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import { Deadline } from './deadline.ts';

it('aborts with command_timeout when the time is over', async () => {
  const clock = new FakeClock();
  using deadline = new Deadline(clock, 1_000, new AbortController().signal);
  await clock.advance(999);
  expect(deadline.signal.aborted).toBe(false);
  await clock.advance(1);
  expect(deadline.signal.reason).toMatchObject({ code: 'command_timeout' });
});

it('aborts with its parent, for the same reason', () => {
  const parent = new AbortController();
  using deadline = new Deadline(new FakeClock(), 1_000, parent.signal);
  parent.abort(new Error('cancelled'));
  expect(deadline.signal.reason).toMatchObject({ message: 'cancelled' });
});

it('has no limit of its own without one, and leaves no timer', async () => {
  const clock = new FakeClock();
  {
    using limited = new Deadline(clock, 1_000, new AbortController().signal);
    using endless = new Deadline(clock, undefined, new AbortController().signal);
    expect(clock.pending).toBe(1);
    expect([limited.signal.aborted, endless.signal.aborted]).toEqual([false, false]);
  }
  expect(clock.pending).toBe(0);
});

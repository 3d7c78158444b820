import { FakeClock } from '@drawbridge/testkit';
import { expect, it, vi } from 'vitest';
import { StallGuard } from './stall-guard.ts';

it('calls once nothing has moved for as long as is allowed', async () => {
  const clock = new FakeClock();
  const stalled = vi.fn();
  using guard = new StallGuard(clock, 100, stalled);
  await clock.advance(90);
  guard.moved();
  await clock.advance(99);
  expect(stalled).not.toHaveBeenCalled();
  await clock.advance(1);
  expect(stalled).toHaveBeenCalledTimes(1);
});

it('allows another time from when it is told', async () => {
  const clock = new FakeClock();
  const stalled = vi.fn();
  using guard = new StallGuard(clock, 100, stalled);
  await clock.advance(99);
  guard.allow(1_000);
  await clock.advance(999);
  expect(stalled).not.toHaveBeenCalled();
  guard.allow(10);
  await clock.advance(10);
  expect(stalled).toHaveBeenCalledTimes(1);
});

it('leaves no timer', async () => {
  const clock = new FakeClock();
  const guard = new StallGuard(clock, 100, () => undefined);
  guard.allow(50);
  guard[Symbol.dispose]();
  expect(clock.pending).toBe(0);
});

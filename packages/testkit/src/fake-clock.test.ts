import { expect, it } from 'vitest';
import { FakeClock } from './fake-clock.ts';

it('fires timers in order of their time, and of their setting', async () => {
  const clock = new FakeClock();
  const fired: string[] = [];
  for (const [delayMs, name] of [
    [20, 'c'],
    [10, 'a'],
    [10, 'b'],
    [31, 'never'],
  ] as const) {
    clock.after(delayMs, () => fired.push(`${name} at ${clock.monotonic()}`));
  }
  await clock.advance(30);
  expect(fired).toEqual(['a at 10', 'b at 10', 'c at 20']);
  expect([clock.pending, clock.monotonic()]).toEqual([1, 30]);
});

it('lets what follows from a timer settle, and set timers that are due as well', async () => {
  const clock = new FakeClock();
  const woken: number[] = [];
  const loop = async () => {
    for (;;) {
      await clock.sleep(10);
      woken.push(clock.monotonic());
    }
  };
  void loop();
  await clock.advance(35);
  expect(woken).toEqual([10, 20, 30]);
  expect(clock.sleeps).toEqual([10, 10, 10, 10]);
});

it('fires what is due already without being advanced, after who set it is done, unless it was cancelled', async () => {
  const clock = new FakeClock();
  const fired: string[] = [];
  clock.after(0, () => fired.push('now'));
  clock.after(-5, () => fired.push('late'));
  clock.after(0, () => fired.push('cancelled')).cancel();
  clock.after(1, () => fired.push('never'));
  expect(fired).toEqual([]);
  await clock.sleep(0);
  expect(fired).toEqual(['now', 'late']);
  expect([clock.pending, clock.monotonic()]).toEqual([1, 0]);
});

it('forgets a timer that was cancelled, and a sleep that was aborted', async () => {
  const clock = new FakeClock();
  const abort = new AbortController();
  const sleeping = clock.sleep(10, abort.signal);
  const timer = clock.after(10, () => expect.unreachable());
  timer.cancel();
  timer.cancel();
  abort.abort(new Error('enough'));
  await expect(sleeping).rejects.toThrow('enough');
  expect(clock.pending).toBe(0);
  await clock.advance(10);
});

it('tells another time of day, and no other duration, when it is set', async () => {
  const clock = new FakeClock();
  const beforeMs = clock.now();
  clock.skew(-3_600_000);
  await clock.advance(5);
  expect([clock.now() - beforeMs, clock.monotonic()]).toEqual([-3_599_995, 5]);
});

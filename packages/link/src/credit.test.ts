import { LIMITS, ProtocolError } from '@drawbridge/protocol';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { FakeClock } from '../../testkit/src/fake-clock.ts';
import { ReceiveWindow, SendCredit, WindowBudget } from './credit.ts';

const INITIAL = LIMITS.windowBytesInitial;

function windowWith({ rttMs, budget = new WindowBudget() }: { rttMs?: number; budget?: WindowBudget } = {}) {
  const clock = new FakeClock();
  const window = ReceiveWindow.open({ clock, budget, rttMs: () => rttMs });
  if (window === undefined) throw new Error('no budget');
  return { clock, budget, window };
}

it('never lets credit, unread and untaken bytes exceed the window, nor windows the budget', async () => {
  const step = fc.record({ send: fc.nat(100_000), take: fc.nat(100_000), waitMs: fc.nat(30) });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const { clock, budget, window } = windowWith({ rttMs: 15, budget: new WindowBudget(4 * INITIAL) });
      let credit = INITIAL;
      let unread = 0;
      let untaken = 0;
      for (const { send, take, waitMs } of steps) {
        const sent = Math.min(send, credit);
        window.received(sent);
        credit -= sent;
        unread += sent;
        const taken = Math.min(take, unread);
        unread -= taken;
        await clock.advance(waitMs);
        const returned = window.taken(taken);
        untaken = returned > 0 ? 0 : untaken + taken;
        credit += returned;
        expect(credit + unread + untaken).toBe(window.sizeBytes);
        expect(budget.bytesUsed).toBe(window.sizeBytes);
        expect(window.sizeBytes).toBeLessThanOrEqual(4 * INITIAL);
        expect(() => window.received(credit + 1)).toThrow(ProtocolError);
      }
    }),
    { numRuns: 30 },
  );
});

it('returns credit only when half a window was taken', () => {
  const { window } = windowWith();
  window.received(INITIAL);
  expect(window.taken(INITIAL / 2 - 1)).toBe(0);
  expect(window.taken(1)).toBe(INITIAL / 2);
});

it('doubles while half a window is taken within a round trip, up to 16 MiB', async () => {
  const { clock, window } = windowWith({ rttMs: 20 });
  const sizes: number[] = [];
  for (let round = 0; round < 8; round += 1) {
    await clock.advance(20);
    window.received(window.sizeBytes / 2);
    window.taken(window.sizeBytes / 2);
    sizes.push(window.sizeBytes / INITIAL);
  }
  expect(sizes).toEqual([2, 4, 8, 16, 32, 64, 64, 64]);
});

it('stays as it is when the consumer is what is slow, or no round trip is known', async () => {
  for (const options of [{ rttMs: 20 }, {}]) {
    const { clock, window } = windowWith(options);
    await clock.advance(21);
    window.received(INITIAL / 2);
    expect(window.taken(INITIAL / 2)).toBe(INITIAL / 2);
    expect(window.sizeBytes).toBe(INITIAL);
  }
});

it('opens no window past the budget, and gives each back once', () => {
  const budget = new WindowBudget(INITIAL);
  const { clock, window } = windowWith({ rttMs: 20, budget });
  expect(ReceiveWindow.open({ clock, budget, rttMs: () => 1 })).toBeUndefined();
  window.received(INITIAL / 2);
  expect(window.taken(INITIAL / 2)).toBe(INITIAL / 2);
  window.release();
  window.release();
  expect(budget.bytesUsed).toBe(0);
  expect(window.taken(INITIAL)).toBe(0);
});

it('uses the credit there is, and refuses more than a window can be', () => {
  const credit = new SendCredit(10);
  expect([credit.use(7), credit.use(7), credit.use(7)]).toEqual([7, 3, 0]);
  credit.add(LIMITS.windowBytesMax);
  expect(() => credit.add(1)).toThrow(ProtocolError);
});

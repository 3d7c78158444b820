import { FakeClock } from '../../testkit/src/fake-clock.ts';
import { beforeEach, expect, it } from 'vitest';
import { DeliveryPace } from './delivery-pace.ts';

const KIB = 1024;
const MB = 1_000_000;

let clock: FakeClock;
let pace: DeliveryPace;
beforeEach(() => {
  clock = new FakeClock();
  pace = new DeliveryPace(clock);
});

/** So much arrives in each 10 ms, each byte after `tookMs`. */
async function deliver(bytesPerSecond: number, tookMs: number, forMs: number, wasHeld = true): Promise<void> {
  for (let ms = 0; ms < forMs; ms += 10) {
    await clock.advance(10);
    pace.received(bytesPerSecond / 100, tookMs, wasHeld);
  }
}

it('begins with enough to measure by, and never allows less', async () => {
  expect(pace.bytesMax).toBe(512 * KIB);
  await deliver(1_000, 2, 100);
  expect(pace.bytesMax).toBe(512 * KIB);
});

it('allows twice what the way holds, and three milliseconds more of the fastest late rate', async () => {
  await deliver(25 * MB, 200, 100);
  expect(pace.bytesMax).toBeCloseTo(25_000 * (2 * 200 + 3));
  await deliver(300 * MB, 0.5, 100);
  expect(pace.bytesMax).toBeCloseTo(300_000 * (2 * 0.5 + 3));
});

it('takes the shortest time there was for the way, as queues are no part of it', async () => {
  await deliver(100 * MB, 50, 50);
  await deliver(100 * MB, 10, 10);
  await deliver(100 * MB, 90, 200);
  expect(pace.bytesMax).toBeCloseTo(100_000 * (2 * 10 + 3));
});

it('forgets a rate that has not been reached for a while, not at once', async () => {
  await deliver(200 * MB, 10, 10);
  await deliver(100 * MB, 10, 70);
  expect(pace.bytesMax).toBeCloseTo(200_000 * 23);
  await deliver(100 * MB, 10, 10);
  expect(pace.bytesMax).toBeCloseTo(100_000 * 23);
});

it('does not take a way for slower because less was to be sent', async () => {
  await deliver(25 * MB, 100, 100);
  await deliver(1_000, 100, 5_000, false);
  expect(pace.bytesMax).toBeCloseTo(25_000 * 203);
  await deliver(50 * MB, 100, 10, false);
  expect(pace.bytesMax).toBeCloseTo(50_000 * 203);
});

it('does not take what arrives in one moment for a rate', async () => {
  for (let piece = 0; piece < 100; piece += 1) pace.received(MB, 1, true);
  expect(pace.bytesMax).toBe(512 * KIB);
});

it('finds a fast, long way within a few round trips', async () => {
  // What is on its way arrives within one round trip of 200 ms; the way carries no more than 25 MB/s.
  let roundTrips = 0;
  for (; pace.bytesMax < 5 * MB && roundTrips < 20; roundTrips += 1)
    await deliver(Math.min(25 * MB, pace.bytesMax * 5), 200, 200);
  expect(roundTrips).toBeLessThanOrEqual(5);
});

it('begins anew on another way', async () => {
  await deliver(300 * MB, 0.5, 100);
  pace.restart();
  expect(pace.bytesMax).toBe(512 * KIB);
  await deliver(100 * MB, 20, 10);
  expect(pace.bytesMax).toBeCloseTo(100_000 * 43);
});

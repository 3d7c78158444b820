import { LIMITS } from '@drawbridge/protocol';
import { expect, it } from 'vitest';
import { TelemetryRing } from './telemetry-ring.ts';

function ringOf(capacity?: number) {
  const warnings: number[] = [];
  const onDropped = (dropped: number) => warnings.push(dropped);
  return { warnings, ring: new TelemetryRing<number>({ onDropped, ...(capacity !== undefined && { capacity }) }) };
}

function flushed(ring: TelemetryRing<number>, takes = Number.POSITIVE_INFINITY): number[] {
  const sent: number[] = [];
  ring.flush((item) => sent.length < takes && sent.push(item) > 0);
  return sent;
}

it('keeps the newest items and sends them oldest first', () => {
  const { ring } = ringOf(3);
  for (const item of [1, 2, 3, 4, 5]) ring.push(item);
  expect([ring.depth, ring.dropped]).toEqual([3, 2]);
  expect(flushed(ring)).toEqual([3, 4, 5]);
  expect([ring.depth, ring.dropped]).toEqual([0, 2]);
});

it('warns once per episode, with the count', () => {
  const { ring, warnings } = ringOf(1);
  for (const item of [1, 2, 3]) ring.push(item);
  expect(warnings).toEqual([]);
  flushed(ring);
  flushed(ring);
  ring.push(4);
  ring.push(5);
  flushed(ring);
  expect(warnings).toEqual([2, 1]);
});

it('keeps what the link did not take, and the episode open', () => {
  const { ring, warnings } = ringOf(3);
  for (const item of [1, 2, 3, 4]) ring.push(item);
  expect(flushed(ring, 1)).toEqual([2]);
  expect([ring.depth, warnings]).toEqual([2, []]);
  expect(flushed(ring)).toEqual([3, 4]);
  expect(warnings).toEqual([1]);
});

it('holds 150 items unless it is told otherwise', () => {
  const { ring } = ringOf();
  for (let item = 0; item < 200; item += 1) ring.push(item);
  expect(ring.depth).toBe(LIMITS.telemetryItemsMax);
});

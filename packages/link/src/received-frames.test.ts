import { LIMITS } from '@drawbridge/protocol';
import { expect, it } from 'vitest';
import { FakeClock } from '../../testkit/src/fake-clock.ts';
import { ReceivedFrames } from './received-frames.ts';

function counting() {
  const clock = new FakeClock();
  const reports: number[] = [];
  return { clock, reports, received: new ReceivedFrames(clock, (count) => reports.push(count)) };
}

it('reports after 32 frames, and counts on from there', () => {
  const { received, reports } = counting();
  for (let frames = 0; frames < 31; frames += 1) received.note(1);
  expect(reports).toEqual([]);
  for (let frames = 0; frames < 33; frames += 1) received.note(1);
  expect(reports).toEqual([32, 32]);
});

it('reports after 256 KiB', () => {
  const { received, reports } = counting();
  received.note(LIMITS.receivedBytesMax - 1);
  expect(reports).toEqual([]);
  received.note(1);
  received.note(LIMITS.receivedBytesMax - 1);
  expect(reports).toEqual([2]);
});

it('reports 100 ms after the first frame that was not reported, and never nothing', async () => {
  const { clock, received, reports } = counting();
  received.note(1);
  await clock.advance(60);
  received.note(1);
  await clock.advance(39);
  expect(reports).toEqual([]);
  await clock.advance(1);
  expect(reports).toEqual([2]);
  for (let frames = 0; frames < 32; frames += 1) received.note(1);
  await clock.advance(1_000);
  expect(reports).toEqual([2, 32]);
  received.note(1);
  await clock.advance(LIMITS.receivedDelayMs);
  expect(reports).toEqual([2, 32, 1]);
});

it('does not report again what a total has told', async () => {
  const { clock, received, reports } = counting();
  for (let frames = 0; frames < 31; frames += 1) received.note(8_000);
  expect(received.takeTotal()).toBe(31);
  await clock.advance(1_000);
  received.note(20_000);
  expect(reports).toEqual([]);
  await clock.advance(1_000);
  expect(reports).toEqual([1]);
  expect(received.takeTotal()).toBe(32);
});

it('counts from 0 for another process, and reports nothing of the one before', async () => {
  const { clock, received, reports } = counting();
  received.note(1);
  received.restart();
  expect(received.takeTotal()).toBe(0);
  await clock.advance(1_000);
  expect(reports).toEqual([]);
});

it('leaves no timer once stopped, though another frame comes', () => {
  const { clock, received } = counting();
  received.note(1);
  expect(clock.pending).toBe(1);
  received.stop();
  expect(clock.pending).toBe(0);
  received.note(1);
  expect(clock.pending).toBe(0);
});

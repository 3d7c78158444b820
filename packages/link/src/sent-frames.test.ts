import { FrameType, LIMITS } from '@drawbridge/protocol';
import type { Frame } from '@drawbridge/protocol';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { FakeClock } from '../../testkit/src/fake-clock.ts';
import { SentFrames } from './sent-frames.ts';

/** The n-th frame carries its number as its channel. */
const frame = (channelId: number): Frame => ({ type: FrameType.Data, flags: 0, channelId, payload: new Uint8Array() });

function sentUpTo(count: number, framesMax?: number): SentFrames {
  const sent = new SentFrames(new FakeClock(), framesMax);
  for (let number = 1; number <= count; number += 1) sent.push(frame(number));
  return sent;
}

function again(sent: SentFrames): number[] {
  const numbers: number[] = [];
  for (let next = sent.next(); next !== undefined; next = sent.next()) numbers.push(next.channelId);
  return numbers;
}

it('gives nothing again before a new leg', () => {
  const sent = sentUpTo(3);
  sent.dropReceived(1);
  expect(again(sent)).toEqual([]);
  expect(sent.size).toBe(2);
});

it.each([
  [0, [1, 2, 3]],
  [1, [2, 3]],
  [2, [3]],
  [3, []],
])('gives again what the other end lacks that has %i of 3', (total, expected) => {
  const sent = sentUpTo(3);
  sent.rewind(total);
  expect(sent.size).toBe(expected.length);
  expect(again(sent)).toEqual(expected);
});

it('counts what was received before towards the total', () => {
  const sent = sentUpTo(5);
  sent.dropReceived(2);
  sent.rewind(3);
  expect(again(sent)).toEqual([4, 5]);
  sent.dropReceived(2);
  expect(sent.size).toBe(0);
});

it('begins again after a leg that broke while it was giving again', () => {
  const sent = sentUpTo(4);
  sent.rewind(0);
  expect([sent.next(), sent.next()].map((next) => next?.channelId)).toEqual([1, 2]);
  sent.dropReceived(1);
  sent.rewind(1);
  expect(again(sent)).toEqual([2, 3, 4]);
});

it.each([
  ['more than were sent', 4],
  ['less than it had before', 1],
])('refuses an end that claims to have %s', (_what, total) => {
  const sent = sentUpTo(3);
  sent.dropReceived(2);
  expect(() => sent.rewind(total)).toThrow(`received ${total}, but 2 to 3 can be`);
});

it('refuses RECEIVED for frames that were not sent on this leg yet', () => {
  const sent = sentUpTo(3);
  expect(() => sent.dropReceived(4)).toThrow('RECEIVED 4 of 3 frames');
  sent.rewind(0);
  sent.next();
  expect(() => sent.dropReceived(2)).toThrow('RECEIVED 2 of 1 frames');
  sent.dropReceived(1);
});

it('is full at its bound, and not when one was received', () => {
  expect(sentUpTo(2, 3).isFull).toBe(false);
  const sent = sentUpTo(3, 3);
  expect(sent.isFull).toBe(true);
  sent.dropReceived(1);
  expect(sent.isFull).toBe(false);
  expect(sentUpTo(LIMITS.framesUnreceivedMax - 1).isFull).toBe(false);
  expect(sentUpTo(LIMITS.framesUnreceivedMax).isFull).toBe(true);
});

it('begins anew when the other end has lost its state', () => {
  const sent = sentUpTo(3);
  sent.dropReceived(2);
  sent.restart();
  sent.rewind(0);
  expect([sent.size, again(sent)]).toEqual([0, []]);
  sent.push(frame(1));
  sent.rewind(0);
  expect(again(sent)).toEqual([1]);
});

/** What happens to it, with numbers that are taken modulo what is possible. */
const happening = fc.record({
  what: fc.constantFrom('push', 'push', 'received', 'rewind', 'next'),
  many: fc.nat(2_000),
});

it('agrees with a plain list of numbered frames, whatever happens', () => {
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 60, size: 'max' }), (happenings) => {
      const sent = new SentFrames(new FakeClock());
      let [received, onLeg, last] = [0, 0, 0];
      for (const { what, many } of happenings) {
        if (what === 'push' && onLeg === last) {
          for (let count = 0; count < many; count += 1) sent.push(frame((last += 1)));
          onLeg = last;
        } else if (what === 'received') {
          const count = many % (onLeg - received + 1);
          sent.dropReceived(count);
          received += count;
        } else if (what === 'rewind') {
          received += many % (last - received + 1);
          sent.rewind(received);
          onLeg = received;
        } else if (what === 'next') {
          for (let count = 0; count <= many && onLeg < last; count += 1) {
            onLeg += 1;
            if (sent.next()?.channelId !== onLeg) throw new Error(`not ${onLeg}`);
          }
          if (onLeg === last) expect(sent.next()).toBeUndefined();
        }
        expect(sent.size).toBe(last - received);
        expect(() => sent.dropReceived(onLeg - received + 1)).toThrow('RECEIVED');
      }
    }),
    { numRuns: 50 },
  );
});

it('tells who sent a frame once the other end has it, in order, and lets go of it', () => {
  const sent = new SentFrames(new FakeClock());
  const told: number[] = [];
  for (const number of [1, 2, 3, 4]) sent.push({ ...frame(number), onReceived: () => told.push(number) });
  sent.dropReceived(1);
  expect(told).toEqual([1]);
  sent.rewind(2);
  expect(told).toEqual([1, 2]);
  expect(again(sent)).toEqual([3, 4]);
  sent.dropReceived(2);
  expect(told).toEqual([1, 2, 3, 4]);
  sent.restart();
  expect(told).toEqual([1, 2, 3, 4]);
});

it('says when more would only wait on its way, and that it would not any more', () => {
  const sent = new SentFrames(new FakeClock());
  const data = (channelId: number) => ({ ...frame(channelId), payload: new Uint8Array(65_536) });
  for (let number = 1; number <= 8; number += 1) {
    expect(sent.isAmple).toBe(false);
    sent.push(data(number));
  }
  expect(sent.isAmple).toBe(true);
  sent.dropReceived(1);
  expect(sent.isAmple).toBe(false);
  sent.push(data(9));
  sent.rewind(5);
  expect(sent.isAmple).toBe(false);
  sent.restart();
  for (let number = 1; number <= 7; number += 1) sent.push(data(number));
  expect(sent.isAmple).toBe(false);
});

it('measures how long a frame took since it left last', async () => {
  const clock = new FakeClock();
  const sent = new SentFrames(clock);
  const data = { ...frame(1), payload: new Uint8Array(65_536) };
  sent.push(data);
  await clock.advance(5_000);
  sent.rewind(0);
  sent.next();
  await clock.advance(100);
  for (let more = 0; more < 100; more += 1) sent.push(data);
  // 64 KiB in 100 ms, by a way of 100 ms: less than what is always allowed. By one of 5 s it would be much more.
  sent.dropReceived(1);
  expect(sent.isAmple).toBe(true);
  sent.dropReceived(92);
  expect(sent.isAmple).toBe(true);
  sent.dropReceived(1);
  expect(sent.isAmple).toBe(false);
});

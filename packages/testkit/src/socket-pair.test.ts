import type { MessageSocket } from '@drawbridge/link';
import { expect, it } from 'vitest';
import { FakeClock, settle } from './fake-clock.ts';
import { socketPair } from './socket-pair.ts';

function record(socket: MessageSocket): unknown[] {
  const heard: unknown[] = [];
  socket.listen({
    message: (message) => heard.push(message),
    drained: () => heard.push('drained'),
    closed: (end) => heard.push(end.code),
  });
  return heard;
}

function sendAll(socket: MessageSocket, ...messages: string[]): void {
  for (const message of messages) socket.send(message);
}

it('delivers in order, not before the sender has returned, and says so when all is taken', async () => {
  const { a, b } = socketPair();
  const [atA, atB] = [record(a), record(b)];
  sendAll(a, 'x', 'yz');
  expect([atB, a.bufferedBytes]).toEqual([[], 3]);
  await settle();
  expect([atA, atB, a.bufferedBytes]).toEqual([['drained'], ['x', 'yz'], 0]);
});

it.each([0, 1, 2, 3])('really delivers the %i messages before a cut, and none after it', async (cutAfter) => {
  const { a, b } = socketPair({ aToB: { cutAfter } });
  const [atA, atB] = [record(a), record(b)];
  sendAll(a, '1', '2', '3', '4');
  await settle();
  expect(atB).toEqual([...['1', '2', '3', '4'].slice(0, cutAfter), 1006]);
  expect(atA).toEqual([1006]);
});

it('holds one direction until it is released, and not the other', async () => {
  const { a, b, aToB } = socketPair();
  const [atA, atB] = [record(a), record(b)];
  aToB.stall();
  sendAll(a, 'x');
  sendAll(b, 'y');
  await settle();
  expect([atA, atB, a.bufferedBytes]).toEqual([['y'], ['drained'], 1]);
  aToB.release();
  await settle();
  expect([atA, atB]).toEqual([
    ['y', 'drained'],
    ['drained', 'x'],
  ]);
});

it('keeps bytes with the sender while the reader pauses', async () => {
  const { a, b } = socketPair();
  const atB = record(b);
  b.pause();
  sendAll(a, 'x');
  await settle();
  expect([atB, a.bufferedBytes]).toEqual([[], 1]);
  b.resume();
  await settle();
  expect(atB).toEqual(['x']);
});

it('repeats and swaps what it is asked to', async () => {
  const { a, b } = socketPair({ aToB: { duplicate: [0], reorder: [1] } });
  const atB = record(b);
  sendAll(a, '0', '1', '2', '3');
  await settle();
  expect(atB).toEqual(['0', '0', '2', '1', '3']);
});

it('takes its time when it has a latency', async () => {
  const clock = new FakeClock();
  const { a, b, cut } = socketPair({ clock, latencyMs: 20 });
  const atB = record(b);
  sendAll(a, 'x');
  await clock.advance(19);
  expect(atB).toEqual([]);
  await clock.advance(1);
  expect(atB).toEqual(['x']);
  sendAll(a, 'y');
  await settle();
  cut();
  expect(clock.pending).toBe(0);
});

it('closes after what was sent before, and tells both ends once', async () => {
  const { a, b } = socketPair();
  const [atA, atB] = [record(a), record(b)];
  sendAll(a, 'x');
  a.close(1000, 'bye');
  a.close(1001, 'again');
  sendAll(a, 'too late');
  await settle();
  b.terminate();
  await settle();
  expect([atA, atB]).toEqual([
    ['drained', 1000],
    ['x', 1000],
  ]);
});

it('gives up on a peer that never answers its close', async () => {
  const clock = new FakeClock();
  const { a, aToB } = socketPair({ clock });
  const atA = record(a);
  aToB.stall();
  a.close(1000, '');
  await clock.advance(30_000);
  expect(atA).toEqual([1006]);
  expect(clock.pending).toBe(0);
});

it('tells a listener that comes late, and refuses a second one', async () => {
  const { a, b, cut } = socketPair();
  cut();
  const atB = record(b);
  await settle();
  expect(atB).toEqual([1006]);
  record(a);
  expect(() => record(a)).toThrow('once');
});

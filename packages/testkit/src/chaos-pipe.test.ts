import { connect, Socket } from 'node:net';
import type { Clock } from '@drawbridge/link';
import { expect, it } from 'vitest';
import { ChaosFaults } from './chaos-faults.ts';
import { ChaosPipe } from './chaos-pipe.ts';
import { FakeClock } from './fake-clock.ts';

/** More than a socket buffers. */
const FULL_BYTES = 1024 * 1024;

it('leaves the bytes with the kernel while nothing gets through', () => {
  const { pipe, source, faults } = makePipe(new Socket());
  faults.blocked = true;
  pipe.move();
  expect(source.isPaused()).toBe(true);
  faults.heal();
  pipe.move();
  expect(source.isPaused()).toBe(false);
});

it('waits for a receiver that is full', () => {
  // It buffers, because it is not connected yet, and is full at once.
  const sink = connect(9, '127.0.0.1');
  sink.on('error', () => {});
  const { source, carried } = makePipe(sink);
  source.emit('data', Buffer.alloc(FULL_BYTES));
  source.emit('data', Buffer.alloc(10));
  expect(carried).toEqual([FULL_BYTES]);
  sink.emit('drain');
  expect(carried).toEqual([FULL_BYTES, 10]);
  sink.destroy();
});

it('keeps the rate although its timers are late', async () => {
  const clock = new FakeClock();
  const late: Clock = { ...asClock(clock), after: (delayMs, callback) => clock.after(delayMs + 10, callback) };
  const { source, faults, carried } = makePipe(openSink(), late);
  faults.bytesPerSecond = 100_000;
  source.emit('data', Buffer.alloc(20_000));
  await clock.advance(200);
  expect(sum(carried)).toBe(20_000);
});

it('does not make up for a time in which nothing could pass', async () => {
  const clock = new FakeClock();
  const { pipe, source, faults, carried } = makePipe(openSink(), clock);
  Object.assign(faults, { bytesPerSecond: 100_000, blocked: true });
  source.emit('data', Buffer.alloc(20_000));
  await clock.advance(10_000);
  faults.blocked = false;
  pipe.move();
  expect(sum(carried)).toBeGreaterThan(0);
  expect(sum(carried)).toBeLessThan(10_000);
});

it('holds what is on its way, and little more', () => {
  const { source, faults } = makePipe(openSink());
  Object.assign(faults, { bytesPerSecond: 1_000_000, delayMs: 1_000 });
  source.emit('data', Buffer.alloc(1_000_000));
  expect(source.isPaused()).toBe(false);
  source.emit('data', Buffer.alloc(64 * 1024));
  expect(source.isPaused()).toBe(true);
});

function makePipe(sink: Socket, clock: Clock = new FakeClock()) {
  const [source, faults, carried] = [new Socket(), new ChaosFaults(), new Array<number>()];
  const onCarried = (byteCount: number) => carried.push(byteCount);
  const pipe = new ChaosPipe({ source, sink, faults, clock, onCut: () => {}, onCarried });
  return { pipe, source, faults, carried };
}

/** It takes everything at once. */
function openSink(): Socket {
  const sink = new Socket();
  sink.write = () => true;
  return sink;
}

function asClock(clock: FakeClock): Clock {
  return {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    after: (delayMs, callback) => clock.after(delayMs, callback),
    sleep: (delayMs, signal) => clock.sleep(delayMs, signal),
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, next) => total + next, 0);
}

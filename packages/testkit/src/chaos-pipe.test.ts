import { connect, Socket } from 'node:net';
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

function makePipe(sink: Socket) {
  const [source, faults, carried] = [new Socket(), new ChaosFaults(), new Array<number>()];
  const onCarried = (byteCount: number) => carried.push(byteCount);
  const pipe = new ChaosPipe({ source, sink, faults, clock: new FakeClock(), onCut: () => {}, onCarried });
  return { pipe, source, faults, carried };
}

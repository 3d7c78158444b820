import { FakeClock } from '@drawbridge/testkit';
import { EventEmitter } from 'node:events';
import { expect, it } from 'vitest';
import { Shutdown } from './shutdown.ts';

/** A process that notes how it would have ended. */
class FakeProcess extends EventEmitter {
  readonly exits: number[] = [];
  exit(code: number): void {
    this.exits.push(code);
  }
}

function start() {
  const clock = new FakeClock();
  const process = new FakeProcess();
  const signals: string[] = [];
  const onSignal = (signal: string) => signals.push(signal);
  return { clock, process, signals, shutdown: new Shutdown({ drainTimeoutMs: 30_000, clock, process, onSignal }) };
}

it('drains at the first signal, and stops when the time is over', async () => {
  const { clock, process, signals, shutdown } = start();
  expect(shutdown.drain.aborted).toBe(false);
  process.emit('SIGTERM');
  expect(shutdown.drain.aborted).toBe(true);
  expect(signals).toEqual(['SIGTERM']);
  await clock.advance(29_999);
  expect(shutdown.stop.aborted).toBe(false);
  await clock.advance(1);
  expect(shutdown.stop.aborted).toBe(true);
  expect(process.exits).toEqual([]);
});

it.each([
  ['SIGINT', 'SIGINT', 130],
  ['SIGTERM', 'SIGTERM', 143],
  ['SIGTERM', 'SIGINT', 130],
])('exits at once after %s and %s', (first, second, code) => {
  const { process } = start();
  process.emit(first);
  process.emit(second);
  expect(process.exits).toEqual([code]);
});

it('drains on request, and a signal after that is the first one', async () => {
  const { clock, process, shutdown } = start();
  shutdown.request('revoked');
  shutdown.request('again');
  expect(shutdown.drain.reason).toEqual(new Error('revoked'));
  expect(clock.pending).toBe(1);
  process.emit('SIGINT');
  expect(process.exits).toEqual([]);
});

it('leaves neither handler nor timer', () => {
  const { clock, process, shutdown } = start();
  process.emit('SIGINT');
  shutdown[Symbol.dispose]();
  expect(process.listenerCount('SIGINT') + process.listenerCount('SIGTERM')).toBe(0);
  expect(clock.pending).toBe(0);
});

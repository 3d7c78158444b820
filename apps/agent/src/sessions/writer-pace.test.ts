import { FakeClock } from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import { WriterPace } from './writer-pace.ts';

const KIB = 1024;
const SECOND = 1000;
/** What a writer may have to go when the ring is large. */
const LAG = 256 * KIB;

function paced(ringBytes = 8 * 1024 * KIB) {
  const clock = new FakeClock();
  const calls: string[] = [];
  const pace = new WriterPace(
    clock,
    { pause: () => calls.push('pause'), resume: () => calls.push('resume') },
    ringBytes,
  );
  return { clock, calls, pace };
}

it('lets the output run while the writer is not too far behind', () => {
  const { clock, calls, pace } = paced();
  pace.produced(LAG);
  pace.taken(LAG);
  expect([calls, clock.pending]).toEqual([[], 0]);
});

it('holds the output back, once, until half of it is taken', () => {
  const { clock, calls, pace } = paced();
  pace.produced(LAG + 1);
  pace.produced(LAG + 64 * KIB);
  expect(calls).toEqual(['pause']);
  pace.taken(LAG / 2 + 1);
  expect(calls).toEqual(['pause']);
  pace.taken(LAG / 2);
  pace.taken(0);
  expect([calls, clock.pending]).toEqual([['pause', 'resume'], 0]);
});

it('holds it back again, as often as it must', () => {
  const { calls, pace } = paced();
  for (let times = 0; times < 3; times += 1) {
    pace.produced(LAG + 1);
    pace.taken(0);
  }
  expect(calls).toEqual(['pause', 'resume', 'pause', 'resume', 'pause', 'resume']);
});

it.each([
  [100 * KIB, 50 * KIB],
  [512 * KIB, LAG],
  [1024 * KIB, LAG],
])('with a ring of %i bytes waits at more than %i', (ringBytes, lagBytes) => {
  const { calls, pace } = paced(ringBytes);
  pace.produced(lagBytes);
  expect(calls).toEqual([]);
  pace.produced(lagBytes + 1);
  expect(calls).toEqual(['pause']);
  pace.taken(lagBytes / 2 + 1);
  expect(calls).toEqual(['pause']);
  pace.taken(lagBytes / 2);
  expect(calls).toEqual(['pause', 'resume']);
});

it('gives up who takes nothing for 15 s', async () => {
  const { clock, calls, pace } = paced();
  pace.produced(LAG + 1);
  await clock.advance(15 * SECOND - 1);
  expect(calls).toEqual(['pause']);
  await clock.advance(1);
  expect([calls, clock.pending]).toEqual([['pause', 'resume'], 0]);
});

it('waits on for who takes something, however little', async () => {
  const { clock, calls, pace } = paced();
  pace.produced(2 * LAG);
  for (let times = 0; times < 10; times += 1) {
    await clock.advance(14 * SECOND);
    pace.taken(2 * LAG - times);
  }
  expect(calls).toEqual(['pause']);
  await clock.advance(15 * SECOND);
  expect([calls, clock.pending]).toEqual([['pause', 'resume'], 0]);
});

it('does not wait for who was given up, until they have caught up', async () => {
  const { clock, calls, pace } = paced();
  pace.produced(LAG + 1);
  await clock.advance(15 * SECOND);
  pace.produced(4 * LAG);
  pace.taken(LAG / 2 + 1);
  pace.produced(4 * LAG);
  expect([calls, clock.pending]).toEqual([['pause', 'resume'], 0]);
  pace.taken(LAG / 2);
  pace.produced(LAG + 1);
  expect(calls).toEqual(['pause', 'resume', 'pause']);
});

it('lets the output go when nobody writes any more, and waits for the next one as for the first', async () => {
  const { clock, calls, pace } = paced();
  pace.produced(LAG + 1);
  pace.gone();
  pace.gone();
  expect([calls, clock.pending]).toEqual([['pause', 'resume'], 0]);
  pace.produced(LAG + 1);
  await clock.advance(15 * SECOND);
  pace.gone();
  pace.produced(LAG + 1);
  expect(calls).toEqual(['pause', 'resume', 'pause', 'resume', 'pause']);
});

it('does not touch the output of who leaves in time', () => {
  const { calls, pace } = paced();
  pace.produced(LAG);
  pace.gone();
  expect(calls).toEqual([]);
});

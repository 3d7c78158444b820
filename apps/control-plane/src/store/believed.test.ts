import { FakeClock } from '@drawbridge/testkit';
import { beforeEach, expect, it } from 'vitest';
import { Believed } from './believed.ts';

let clock: FakeClock;
let believed: Believed<number>;
let asked: number;
const find = async () => (asked += 1);
beforeEach(() => {
  clock = new FakeClock();
  believed = new Believed({ clock, forMs: 1_000, keptMax: 2 });
  asked = 0;
});

it('asks once for those who want to know at the same time, and again when the answer is old', async () => {
  expect(await Promise.all([believed.of('a', find), believed.of('a', find)])).toEqual([1, 1]);
  await clock.advance(999);
  expect(await believed.of('a', find)).toBe(1);
  await clock.advance(1);
  expect(await believed.of('a', find)).toBe(2);
});

it('asks again for what it was told to forget', async () => {
  await believed.of('a', find);
  await believed.of('b', find);
  believed.forget('a');
  expect([await believed.of('a', find), await believed.of('b', find)]).toEqual([3, 2]);
  believed.forget();
  expect(await believed.of('b', find)).toBe(4);
});

it('keeps no failure', async () => {
  await expect(believed.of('a', () => Promise.reject(new Error('gone')))).rejects.toThrow('gone');
  expect(await believed.of('a', find)).toBe(1);
});

it('does not bring back an answer that was forgotten while it was sought', async () => {
  const sought = Promise.withResolvers<number>();
  const early = believed.of('a', () => sought.promise);
  believed.forget();
  sought.resolve(7);
  expect(await early).toBe(7);
  expect(await believed.of('a', find)).toBe(1);
});

it('keeps so many: the oldest gives way', async () => {
  for (const key of ['a', 'b', 'c']) await believed.of(key, find);
  expect(await believed.of('b', find)).toBe(2);
  expect(await believed.of('a', find)).toBe(4);
});

import { FakeClock } from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import { PROXY_LIMITS } from './limits.ts';
import { RecentUses } from './recent-uses.ts';

function uses() {
  const clock = new FakeClock();
  const recent = new RecentUses(clock);
  const recorded: string[] = [];
  const begin = (use: string) => recent.begin(use, async () => void recorded.push(use));
  return { clock, recent, recorded, begin };
}

it('records a use when it begins, and again when it was left alone for an hour', async () => {
  const { clock, recorded, begin } = uses();
  for (let minutes = 0; minutes < 180; minutes += 30) {
    await begin('ann 80');
    await clock.advance(30 * 60_000);
  }
  expect(recorded).toEqual(['ann 80']);
  await clock.advance(PROXY_LIMITS.usePauseMs);
  await Promise.all([begin('ann 80'), begin('ann 80'), begin('ann 81')]);
  expect(recorded).toEqual(['ann 80', 'ann 80', 'ann 81']);
});

it('lets nobody in without a record, and asks for it again', async () => {
  const { recent, recorded, begin } = uses();
  const failing = async () => Promise.reject(new Error('the disk is full'));
  await expect(recent.begin('ann 80', failing)).rejects.toThrow('the disk is full');
  await begin('ann 80');
  expect(recorded).toEqual(['ann 80']);
});

it('forgets the one least recently used at its bound', async () => {
  const { recorded, begin } = uses();
  await begin('first');
  await begin('second');
  for (let count = 2; count < PROXY_LIMITS.usesMax; count += 1) await begin(`use ${count}`);
  await begin('first');
  await begin('one more');
  const before = recorded.length;
  await begin('first');
  expect(recorded.length).toBe(before);
  await begin('second');
  expect(recorded.at(-1)).toBe('second');
});

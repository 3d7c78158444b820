import { FakeClock } from '@drawbridge/testkit';
import { beforeEach, expect, it } from 'vitest';
import { SignInLinks } from './sign-in-links.ts';

const ANN = { kind: 'user', userId: 'u1' } as const;
const BOB = { kind: 'user', userId: 'u2' } as const;

let clock: FakeClock;
let links: SignInLinks;
beforeEach(() => {
  clock = new FakeClock();
  links = new SignInLinks(clock);
});

it('works once', () => {
  const code = links.issue(ANN);
  expect(links.look(code)).toEqual(ANN);
  expect(links.redeem(code)).toEqual(ANN);
  expect(links.look(code)).toBeUndefined();
  expect(links.redeem(code)).toBeUndefined();
  expect(links.redeem('made up')).toBeUndefined();
});

it('lapses after an hour', async () => {
  const code = links.issue({ kind: 'first-admin' });
  await clock.advance(60 * 60_000 - 1);
  expect(links.look(code)).toEqual({ kind: 'first-admin' });
  await clock.advance(1);
  expect(links.redeem(code)).toBeUndefined();
});

it("keeps four of a user: their oldest gives way, and nobody else's", () => {
  const others = links.issue(BOB);
  const codes = Array.from({ length: 5 }, () => links.issue(ANN));
  expect(links.redeem(codes[0] ?? '')).toBeUndefined();
  expect(links.redeem(codes[1] ?? '')).toEqual(ANN);
  expect(links.redeem(others)).toEqual(BOB);
});

it('keeps 1024 at most: the oldest gives way', () => {
  const codes = Array.from({ length: 1_025 }, (_, n) => links.issue({ kind: 'user', userId: `u${n}` }));
  expect(links.look(codes[0] ?? '')).toBeUndefined();
  expect(links.look(codes[1] ?? '')).toBeDefined();
});

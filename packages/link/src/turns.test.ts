import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { Turns } from './turns.ts';

it('gives everybody a turn before anybody has a second one', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 5 }), (members, rounds) => {
      const turns = new Turns<number>();
      for (let member = 0; member < members; member += 1) turns.add(member);
      const served: number[] = [];
      for (let taken = 0; taken < members * rounds; taken += 1) {
        const member = turns.next();
        if (member === undefined) throw new Error('the line is empty');
        served.push(member);
        turns.add(member);
      }
      expect(served).toEqual(Array.from({ length: members * rounds }, (_, index) => index % members));
    }),
  );
});

it('keeps the place of who asks again', () => {
  const turns = new Turns<string>();
  for (const member of ['a', 'b', 'a', 'c']) turns.add(member);
  expect([turns.size, turns.next(), turns.next(), turns.next(), turns.next()]).toEqual([3, 'a', 'b', 'c', undefined]);
});

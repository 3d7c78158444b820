import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { EventRing } from './event-ring.ts';

const KEPT = 5;
const KEPT_MS = 100;

it('gives every item that is kept, in order, and says of each other that it is gone', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(60), { maxLength: 30 }), fc.nat(200), (gaps, laterMs) => {
      const ring = new EventRing(KEPT, KEPT_MS);
      let nowMs = 0;
      const items = gaps.map((gapMs, index) => ({ number: index + 1, atMs: (nowMs += gapMs) }));
      for (const item of items) ring.push(item);
      nowMs += laterMs;
      for (const item of items) {
        const isKept = item.number > items.length - KEPT && nowMs - item.atMs <= KEPT_MS;
        expect(ring.next(item.number - 1, nowMs)).toEqual(isKept ? item : 'gone');
      }
      expect(ring.next(items.length, nowMs)).toBeUndefined();
    }),
  );
});

import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { uuidv7 } from './uuid.ts';

/** The last millisecond that 48 bits hold. */
const MS_MAX = 2 ** 48 - 1;

it('is a UUID of version 7 that begins with its millisecond', () => {
  fc.assert(
    fc.property(fc.nat(MS_MAX), (nowMs) => {
      const id = uuidv7(nowMs);
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      expect(Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)).toBe(nowMs);
    }),
  );
});

it('sorts by the order in which ids were made, within a millisecond too', () => {
  const ids = Array.from({ length: 3_000 }, (_item, index) => uuidv7(1_000_000 + Math.floor(index / 1_000)));
  expect(ids.toSorted()).toEqual(ids);
});

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { freshKey, keyAt, maskInto, plainMasking } from './mask.ts';

const key = fc.uint8Array({ minLength: 4, maxLength: 4 });
/** Some bytes, and where they lie in a buffer: words of four need not be in step with either. */
const place = fc.tuple(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 0, max: 9 }));

const expected = (bytes: Uint8Array, key: Uint8Array) => bytes.map((byte, index) => byte ^ (key[index % 4] ?? 0));

describe.each([
  ['the fastest way there is', { mask: maskInto }],
  [
    'JavaScript alone',
    {
      mask: (target: Buffer, offset: number, source: Uint8Array, key: Uint8Array) =>
        plainMasking.mask(source, key, target, offset, source.byteLength),
    },
  ],
] as const)('%s', (_name, masking) => {
  it('masks into a place, and touches nothing else', () => {
    fc.assert(
      fc.property(place, key, ([bytes, offset], key) => {
        const source = Uint8Array.from(bytes);
        const target = Buffer.alloc(offset + bytes.byteLength + 3, 0xee);
        masking.mask(target, offset, source, key);
        const edge = new Uint8Array(offset).fill(0xee);
        expect(target).toEqual(Buffer.concat([edge, expected(bytes, key), Buffer.alloc(3, 0xee)]));
        expect(source).toEqual(bytes);
      }),
    );
  });
});

it('goes on with a key anywhere in a payload', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(200), key, (bytes, cut, key) => {
      const [first, rest] = [bytes.slice(0, cut), bytes.slice(cut)];
      const masked = Buffer.alloc(bytes.byteLength);
      maskInto(masked, 0, first, key);
      maskInto(masked, first.byteLength, rest, keyAt(key, first.byteLength));
      expect(masked).toEqual(Buffer.from(expected(bytes, key)));
    }),
  );
});

it('draws a new key each time, past the end of its supply', () => {
  const drawn = new Set(Array.from({ length: 5_000 }, () => freshKey().toString('hex')));
  // Of 5000 random keys two are the same in one of 350 runs; four that are is a broken supply.
  expect(drawn.size).toBeGreaterThan(4_997);
});

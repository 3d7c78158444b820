import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { appendSmall } from './small-chunks.ts';

it('puts chunks together without losing or changing a byte', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 1100 }), { minLength: 1, maxLength: 60 }),
      (chunks) => {
        const before = Buffer.concat(chunks);
        const merged: Uint8Array[] = [];
        for (const chunk of chunks) {
          const last = merged.at(-1);
          const both = last === undefined ? undefined : appendSmall(last, chunk);
          if (both === undefined) merged.push(chunk);
          else merged[merged.length - 1] = both;
        }
        expect(Buffer.concat(merged).equals(before)).toBe(true);
        for (const chunk of merged) expect(chunk.byteLength).toBeLessThanOrEqual(16 * 1024);
      },
    ),
  );
});

it('leaves large chunks alone', () => {
  expect(appendSmall(new Uint8Array(1), new Uint8Array(1025))).toBeUndefined();
  expect(appendSmall(new Uint8Array(1025), new Uint8Array(1))).toBeUndefined();
});

it('holds no more than twice what was put together', () => {
  const both = appendSmall(new Uint8Array(1), new Uint8Array(1));
  expect(both?.buffer.byteLength).toBe(4);
});

it('never writes into a message of the peer', () => {
  const message = new Uint8Array(100);
  const first = message.subarray(0, 10);
  appendSmall(first, Uint8Array.of(1, 2, 3));
  expect(message.every((byte) => byte === 0)).toBe(true);
});

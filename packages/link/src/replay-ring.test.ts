import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { ReplayRing } from './replay-ring.ts';

it('replays exactly what a string of everything would', () => {
  const chunk = fc.uint8Array({ maxLength: 40 });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 32 }), fc.array(chunk), fc.nat(600), (capacity, chunks, since) => {
      const ring = new ReplayRing(capacity);
      for (const bytes of chunks) ring.append(bytes);
      const all = Buffer.concat(chunks);
      const oldest = Math.max(0, all.length - capacity);
      const offset = Math.min(Math.max(since, oldest), all.length);
      expect([ring.startOffset, ring.endOffset]).toEqual([oldest, all.length]);
      expect(ring.read(since)).toEqual({ bytes: Uint8Array.from(all.subarray(offset)), offset, gap: offset !== since });
    }),
  );
});

it('reads in pieces', () => {
  const ring = new ReplayRing(4);
  ring.append(Uint8Array.of(1, 2, 3, 4, 5, 6));
  expect(ring.read(0, 3)).toEqual({ bytes: Uint8Array.of(3, 4, 5), offset: 2, gap: true });
  expect(ring.read(5, 3)).toEqual({ bytes: Uint8Array.of(6), offset: 5, gap: false });
  expect(ring.read(6, 3)).toEqual({ bytes: Uint8Array.of(), offset: 6, gap: false });
});

it('gives copies: what was read does not change when more arrives', () => {
  const ring = new ReplayRing(2);
  ring.append(Uint8Array.of(1, 2));
  const { bytes } = ring.read(0);
  ring.append(Uint8Array.of(3, 4));
  expect(bytes).toEqual(Uint8Array.of(1, 2));
});

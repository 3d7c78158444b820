import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { padTo, truncate, widthOf } from './text-width.ts';

it.each([
  ['', 0],
  ['build-1', 7],
  ['grüezi', 6],
  ['gru\u0308ezi', 6],
  ['你好', 4],
  ['한국', 4],
  ['ﾊﾝ', 2],
  ['Ａ', 2],
  ['🙂', 2],
  ['👩‍👩‍👧', 2],
  ['❤️', 2],
  ['zero\u200bwidth', 9],
  ['→…·', 3],
])('knows that a terminal shows %s over %i columns', (text, width) => {
  expect(widthOf(text)).toBe(width);
});

it.each([
  ['build-1', 7, 'build-1'],
  ['build-1', 6, 'build…'],
  ['你好世界', 7, '你好世…'],
  ['你好世界', 6, '你好…'],
  ['👩‍👩‍👧👩‍👩‍👧', 3, '👩‍👩‍👧…'],
  ['ab', 1, '…'],
  ['ab', 0, ''],
])('shortens %s to %i columns', (text, columns, expected) => {
  expect(truncate(text, columns)).toBe(expected);
});

it('never takes more columns than it has, and loses nothing that fits', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.nat(40), (text, columns) => {
      const shown = truncate(text, columns);
      expect(widthOf(shown)).toBeLessThanOrEqual(columns);
      if (widthOf(text) <= columns) expect(shown).toBe(text);
      expect(widthOf(padTo(shown, columns))).toBe(columns);
    }),
  );
});

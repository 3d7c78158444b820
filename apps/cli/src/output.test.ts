import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { ago, labelText, line, plain } from './output.ts';

it.each([
  ['a colour', '\u001b[31mred\u001b[0m', 'red'],
  ['a new title', '\u001b]0;owned\u0007', ']0;owned'],
  ['a new line', 'one\r\ntwo', 'onetwo'],
  ['a bell in C1', 'a\u009b31mb', 'a31mb'],
  ['a line of Unicode', 'one\u2028two', 'onetwo'],
  ['text turned around', 'abc\u202ecba', 'abccba'],
])('takes %s out of what an agent says', (_name, text, expected) => {
  expect(plain(text)).toBe(expected);
});

it('leaves nothing that a terminal would obey, and all that is text', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
      expect(plain(text)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/);
    }),
  );
  expect(plain('grüezi 你好 🙂')).toBe('grüezi 你好 🙂');
});

it.each([
  [null, 'never'],
  ['2026-01-07T10:00:00.000Z', '0 s ago'],
  ['2026-01-07T10:00:05.000Z', '0 s ago'],
  ['2026-01-07T09:59:01.000Z', '59 s ago'],
  ['2026-01-07T09:01:00.000Z', '59 min ago'],
  ['2026-01-06T11:00:00.000Z', '23 h ago'],
  ['2026-01-01T10:00:00.000Z', '6 d ago'],
])('says how long ago %s was', (iso, text) => {
  expect(ago(iso, Date.UTC(2026, 0, 7, 10))).toBe(text);
});

it('makes a line of what others say', () => {
  expect(line('one\ntwo')).toBe('onetwo\n');
});

it('lists labels', () => {
  expect(labelText({ site: 'lab', env: 'prod' })).toBe('site=lab,env=prod');
});

import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { formatSelector, parseSelector, selects } from './selector.ts';

const LABELS = { site: 'lab', env: 'dev' };

it.each([
  ['', true],
  ['site=lab', true],
  ['site=lab,env=dev', true],
  [' site=lab , env=dev ', true],
  ['site=lab,env=prod', false],
  ['env!=prod', true],
  ['env!=dev', false],
  ['team!=x', true],
  ['site', true],
  ['team', false],
  ['!team', true],
  ['!site', false],
  ['constructor', false],
  ['__proto__=x'.slice(2), false],
])('%j selects a machine in the lab for development: %s', (text, expected) => {
  expect(selects(parseSelector(text), LABELS)).toBe(expected);
});

it.each(['=', 'a=', '=b', 'a==b', 'a,', ',', '!', 'a b', 'a=b;c', '!a=b', 'a!', 'a=b,,c=d', "a=' or 1=1"])(
  'reads no selector of %j, and says which part',
  (text) => {
    expect(() => parseSelector(text)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  },
);

it('refuses more conditions than anybody means', () => {
  expect(() => parseSelector(Array.from({ length: 33 }, (_, n) => `k${n}=v`).join(','))).toThrow(/at most 32/);
});

const text = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,8}$/);
const condition = fc.oneof(
  fc.record({ kind: fc.constantFrom('equals', 'differs'), key: text, value: text }),
  fc.record({ kind: fc.constantFrom('present', 'absent'), key: text }),
);

it('reads what it wrote', () => {
  fc.assert(
    fc.property(fc.array(condition, { maxLength: 8 }), (selector) => {
      expect(parseSelector(formatSelector(selector))).toEqual(selector);
    }),
  );
});

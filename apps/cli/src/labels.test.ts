import { expect, it } from 'vitest';
import { UsageError } from './exit-codes.ts';
import { labelChanges, parseLabel } from './labels.ts';

it.each([
  ['site=lab', ['site', 'lab']],
  ['note=a=b', ['note', 'a=b']],
  ['site=', ['site', '']],
])('reads the label %s', (text, pair) => {
  expect(parseLabel(text)).toEqual(pair);
});

it.each(['site', '=lab', ''])('reads no label of %j', (text) => {
  expect(() => parseLabel(text)).toThrow(UsageError);
});

it('sets labels, and takes away those with a minus', () => {
  expect(labelChanges(['site=lab', 'env-', 'arm-build-', 'x=y-'])).toEqual({
    site: 'lab',
    env: null,
    'arm-build': null,
    x: 'y-',
  });
});

it('takes no name alone for a change', () => {
  expect(() => labelChanges(['site'])).toThrow('site is no label');
});

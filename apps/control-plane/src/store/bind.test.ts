import { expect, it } from 'vitest';
import { bindAll } from './bind.ts';

it('makes booleans 0 and 1 and leaves the rest as it is', () => {
  const bytes = Uint8Array.of(1, 2);
  expect(bindAll([true, false, null, 1.5, 7n, 'text', bytes])).toEqual([1, 0, null, 1.5, 7n, 'text', bytes]);
});

it('brings none of the pool along that a small Buffer is cut from', () => {
  const [bound] = bindAll([Buffer.from('a key')]);
  expect(bound).toEqual(new Uint8Array(Buffer.from('a key')));
  expect(bound instanceof Uint8Array && bound.buffer.byteLength).toBe(5);
});

it.each([[undefined], [{ secret: 'hunter2' }], [new Date(0)], [['a']], [Symbol('s')]])(
  'refuses what has no place in a column: %o',
  (value) => {
    expect(() => bindAll(['fine', value])).toThrow(/^parameter 2: \[object \w+\] has no place in a column$/);
  },
);

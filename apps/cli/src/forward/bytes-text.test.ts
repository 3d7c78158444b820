import { expect, it } from 'vitest';
import { bytesText } from './bytes-text.ts';

it.each([
  [0, '0 B'],
  [999, '999 B'],
  [1_000, '1.0 kB'],
  [9_949, '9.9 kB'],
  [9_960, '10 kB'],
  [999_400, '999 kB'],
  [999_600, '1.0 MB'],
  [1_234_567, '1.2 MB'],
  [2_500_000_000_000, '2.5 TB'],
  [1_500_000_000_000_000, '1500 TB'],
])('%i is %s', (bytes, text) => {
  expect(bytesText(bytes)).toBe(text);
});

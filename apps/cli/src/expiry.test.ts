import { expect, it } from 'vitest';
import { expiryText } from './expiry.ts';

const NOW_MS = Date.parse('2026-01-07T10:00:00.000Z');

it.each([
  [null, 'never'],
  ['2026-01-07T10:00:00.000Z', 'expired'],
  ['2025-01-07T10:00:00.000Z', 'expired'],
  ['2026-01-07T10:00:59.000Z', 'in 59 s'],
  ['2026-01-07T10:59:59.000Z', 'in 59 min'],
  ['2026-01-08T09:59:59.000Z', 'in 23 h'],
  ['2026-02-05T10:00:00.000Z', 'in 29 d'],
])('says of %s: %s', (iso, text) => {
  expect(expiryText(iso, NOW_MS)).toBe(text);
});

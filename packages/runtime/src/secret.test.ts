import { inspect } from 'node:util';
import { expect, it } from 'vitest';
import { Secret, secretsEqual } from './secret.ts';

it.each<[how: string, show: (secret: Secret) => string]>([
  ['as a string', (secret) => String(secret)],
  ['as JSON', (secret) => JSON.stringify({ secret })],
  ['inspected', (secret) => inspect({ secret }, { showHidden: true, depth: 9 })],
  ['by its entries', (secret) => JSON.stringify(Object.entries(secret))],
])('does not show itself %s', (_how, show) => {
  expect(show(new Secret('hunter2'))).not.toContain('hunter2');
});

it('reveals itself when asked', () => {
  expect(new Secret('hunter2').reveal()).toBe('hunter2');
});

it.each([
  ['same', 'same', true],
  ['same', 'Same', false],
  ['short', 'shorter', false],
  ['', '', true],
])('compares %j with %j', (one, other, equal) => {
  expect(secretsEqual(one, other)).toBe(equal);
  expect(new Secret(one).equals(other)).toBe(equal);
});

import { expect, it } from 'vitest';
import { addressList } from './address-list.ts';

it('holds nobody when it is empty', () => {
  expect(addressList('key', [])('198.51.100.7')).toBe(false);
});

it.each([
  ['192.0.2.1', true],
  ['192.0.2.2', false],
  ['::ffff:192.0.2.1', true],
  ['10.1.2.3', true],
  ['11.1.2.3', false],
  ['2001:db8::5', true],
  ['2001:db9::5', false],
  ['unknown', false],
])('says of %s that it is on the list: %s', (address, isListed) => {
  expect(addressList('key', ['192.0.2.1', '10.0.0.0/8', '2001:db8::/32'])(address)).toBe(isListed);
});

it.each(['10.0.0.0/33', '10.0.0.0/', 'example.com', '10.0.0.0/8/8', '10.0.0.0/-1', ''])(
  'refuses the entry %j',
  (entry) => {
    expect(() => addressList('agents.ip_allowlist', [entry])).toThrow(/agents\.ip_allowlist: /);
  },
);

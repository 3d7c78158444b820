import { expect, it } from 'vitest';
import { clientAddress } from './client-address.ts';

const isTrusted = (address: string) => address.startsWith('10.');

it.each([
  ['a stranger, whatever it claims', '198.51.100.7', '192.0.2.1', '198.51.100.7'],
  ['the one a trusted proxy names', '10.0.0.1', '192.0.2.1', '192.0.2.1'],
  ['the nearest one that is not trusted', '10.0.0.1', '203.0.113.9, 192.0.2.1, 10.0.0.2', '192.0.2.1'],
  ['the proxy itself when it names nobody', '10.0.0.1', undefined, '10.0.0.1'],
])('is %s', (_what, socketAddress, forwardedFor, expected) => {
  expect(clientAddress(socketAddress, forwardedFor, isTrusted)).toBe(expected);
});

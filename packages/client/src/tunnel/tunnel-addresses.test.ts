import { expect, it } from 'vitest';
import { tunnelAddresses } from './tunnel-addresses.ts';

it.each([
  ['the same address, once', 'https://a.test', 'wss://a.test/ws/tunnel/1', ['wss://a.test/ws/tunnel/1']],
  [
    "the caller's own first",
    'http://10.0.0.1:99',
    'wss://a.test/ws/tunnel/1',
    ['ws://10.0.0.1:99/ws/tunnel/1', 'wss://a.test/ws/tunnel/1'],
  ],
  ['nothing in the clear', 'https://a.test', 'ws://10.0.0.1/ws/tunnel/1', ['wss://a.test/ws/tunnel/1']],
  [
    "the control plane's own, when no other is known",
    undefined,
    'ws://b.test/ws/tunnel/1',
    ['ws://b.test/ws/tunnel/1'],
  ],
])('dials %s', (_what, url, operatorUrl, addresses) => {
  expect(tunnelAddresses(url, operatorUrl)).toEqual(addresses);
});

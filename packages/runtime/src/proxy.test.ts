import { expect, it } from 'vitest';
import { hostOf, isLoopbackHost, portOf, proxyFor } from './proxy.ts';

const ENV = { HTTPS_PROXY: 'http://secure', HTTP_PROXY: 'http://plain' };

it.each([
  ['wss://control.test', 'http://secure'],
  ['https://control.test', 'http://secure'],
  ['ws://control.test', 'http://plain'],
  ['http://control.test', 'http://plain'],
  ['ws://localhost:7400', undefined],
  ['wss://127.0.0.9', undefined],
  ['wss://[::1]', undefined],
])('without configuration, %s goes through %s', (url, proxy) => {
  expect(proxyFor(new URL(url), { env: ENV })).toBe(proxy);
});

it('prefers the lower-case variable, and takes an empty one for none', () => {
  const url = new URL('wss://control.test');
  expect(proxyFor(url, { env: { ...ENV, https_proxy: 'http://lower' } })).toBe('http://lower');
  expect(proxyFor(url, { env: { ...ENV, https_proxy: '' } })).toBeUndefined();
});

it('prefers the configuration, which counts for this machine too and knows nothing of NO_PROXY', () => {
  const env = { ...ENV, NO_PROXY: '*' };
  expect(proxyFor(new URL('ws://localhost'), { proxy: 'http://mine', env })).toBe('http://mine');
  expect(proxyFor(new URL('ws://a.test'), { proxy: 'http://mine', noProxy: 'a.test', env })).toBeUndefined();
});

it.each([
  ['*', 'wss://a.test', true],
  ['a.test', 'wss://a.test', true],
  ['a.test', 'wss://b.a.test', true],
  ['.a.test', 'wss://b.a.test', true],
  ['*.a.test', 'wss://b.a.test', true],
  ['A.Test', 'wss://a.test', true],
  ['a.test', 'wss://ba.test', false],
  ['x, a.test', 'wss://a.test', true],
  ['x a.test', 'wss://a.test', true],
  ['a.test:443', 'wss://a.test', true],
  ['a.test:443', 'wss://a.test:444', false],
  ['10.0.0.0/8', 'wss://10.1.2.3', true],
  ['10.0.0.0/8', 'wss://11.1.2.3', false],
  ['10.0.0.0/8', 'wss://a.test', false],
  ['10.0.0.0/99', 'wss://10.1.2.3', false],
  ['10.1.2.3', 'wss://10.1.2.3', true],
  ['fd00::/8', 'wss://[fd00::1]', true],
  ['fd00::1', 'wss://[fd00::1]', true],
  ['[fd00::1]:443', 'wss://[fd00::1]', true],
  ['', 'wss://a.test', false],
])('NO_PROXY=%s excepts %s: %s', (noProxy, url, excepted) => {
  expect(proxyFor(new URL(url), { env: { ...ENV, NO_PROXY: noProxy } }) === undefined).toBe(excepted);
});

it.each([
  ['localhost', true],
  ['LOCALHOST', true],
  ['a.localhost', true],
  ['127.3.2.1', true],
  ['::1', true],
  ['[::1]', true],
  ['0.0.0.0', false],
  ['::', false],
  ['notlocalhost', false],
  ['127.evil.test', false],
])('%s is this machine: %s', (host, expected) => {
  expect(isLoopbackHost(host)).toBe(expected);
});

it.each([
  ['wss://a.test', 'a.test', 443],
  ['ws://a.test', 'a.test', 80],
  ['https://[::1]:7400', '::1', 7400],
])('finds host and port of %s', (url, host, port) => {
  expect([hostOf(new URL(url)), portOf(new URL(url))]).toEqual([host, port]);
});

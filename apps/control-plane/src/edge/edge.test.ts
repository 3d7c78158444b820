import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { expect, it } from 'vitest';
import { loadServerConfig } from '../config.ts';
import { Edge } from './edge.ts';

/** A request as it came in over plain HTTP. */
function request(headers: Record<string, string>, from = '198.51.100.7', url = '/', at = '192.0.2.1'): IncomingMessage {
  const socket = new Socket();
  Object.defineProperties(socket, { remoteAddress: { value: from }, localAddress: { value: at } });
  return Object.assign(new IncomingMessage(socket), { url, headers });
}

function edge(listen: Record<string, unknown> = {}): Edge {
  return new Edge(loadServerConfig({ env: {}, overrides: { listen } }));
}

const PROXIED = { host: '0.0.0.0', trusted_proxies: ['10.0.0.0/8'], public_url: 'https://control.test' };

it('believes a proxy of ours, its last word each', () => {
  const headers = {
    host: 'backend:7400',
    'x-forwarded-for': '203.0.113.9, 198.51.100.7',
    'x-forwarded-host': 'evil.test, control.test',
    'x-forwarded-proto': 'http, https',
  };
  expect(edge(PROXIED).callerOf(request(headers, '10.0.0.1'))).toEqual({
    address: '198.51.100.7',
    host: 'control.test',
    protocol: 'https',
  });
});

it('believes nobody else', () => {
  const headers = {
    host: '127.0.0.1:7400',
    'x-forwarded-for': '203.0.113.9',
    'x-forwarded-host': 'control.test',
    'x-forwarded-proto': 'https',
  };
  expect(edge(PROXIED).callerOf(request(headers))).toEqual({
    address: '198.51.100.7',
    host: '127.0.0.1:7400',
    protocol: 'http',
  });
});

it.each([
  ['a proxy of ours', '10.0.0.1', 'accepted'],
  ['this machine', '127.0.0.1', 'accepted'],
  ['this machine, seen through IPv6', '::ffff:127.0.0.1', 'accepted'],
  ['anybody else', '198.51.100.7', 'forbidden'],
])('serves plain HTTP beyond loopback to %s: %s, %s', (_what, from, expected) => {
  const admit = () => edge(PROXIED).admit(request({ host: 'control.test' }, from));
  if (expected === 'accepted') expect(admit).not.toThrow();
  else
    expect(admit).toThrow(
      expect.objectContaining({ code: expected, message: expect.stringMatching(/trusted_proxies/) }),
    );
});

it('answers to its own name alone', () => {
  const policed = edge(PROXIED);
  expect(() => policed.admit(request({ host: 'control.test' }, '10.0.0.1'))).not.toThrow();
  expect(() => policed.admit(request({ host: 'evil.test' }, '10.0.0.1'))).toThrow(/listen\.allowed_hosts/);
  const rebound = { host: 'control.test', 'x-forwarded-host': 'evil.test' };
  expect(() => policed.admit(request(rebound, '10.0.0.1'))).toThrow(/is not called evil\.test/);
});

it.each(['/healthz', '/readyz'])('lets a load balancer ask %s by whatever name, from anywhere', (path) => {
  expect(() => edge(PROXIED).admit(request({ host: '192.0.2.1' }, '198.51.100.7', path))).not.toThrow();
});

it('refuses credentials in a URL before all else', () => {
  const asked = request({ host: 'evil.test' }, '198.51.100.7', '/healthz?token=x');
  expect(() => edge(PROXIED).admit(asked)).toThrow(expect.objectContaining({ code: 'credentials_in_url' }));
});

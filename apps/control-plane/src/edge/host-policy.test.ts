import { expect, it } from 'vitest';
import { HostPolicy } from './host-policy.ts';
import type { HostPolicyConfig } from './host-policy.ts';

function verdict(config: Partial<HostPolicyConfig>, host: string | undefined, localAddress: string): string {
  const policy = new HostPolicy({ host: '127.0.0.1', allowed_hosts: [], ...config });
  try {
    policy.check(host, localAddress);
    return 'accepted';
  } catch (error) {
    expect(error).toMatchObject({ code: 'forbidden' });
    return 'refused';
  }
}

it.each([
  ['127.0.0.1:7400', 'accepted'],
  ['localhost:7400', 'accepted'],
  ['LOCALHOST.', 'accepted'],
  ['[::1]:7400', 'accepted'],
  ['console.localhost', 'accepted'],
  ['evil.test:7400', 'refused'],
  ['localhost.evil.test', 'refused'],
  ['127.0.0.1.evil.test', 'refused'],
  ['192.0.2.1', 'refused'],
  ['evil.test@localhost', 'refused'],
  ['localhost/evil.test', 'refused'],
  ['', 'refused'],
  [undefined, 'refused'],
])('on loopback, Host %s is %s', (host, expected) => {
  expect(verdict({}, host, '127.0.0.1')).toBe(expected);
});

it.each<[config: Partial<HostPolicyConfig>, host: string, local: string, expected: string]>([
  [{ host: '192.0.2.1' }, '192.0.2.1:7400', '192.0.2.1', 'accepted'],
  [{ host: '192.0.2.1' }, 'localhost', '192.0.2.1', 'refused'],
  [{ host: 'control.test' }, 'Control.Test', '192.0.2.1', 'accepted'],
  [{ host: '2001:db8::1' }, '[2001:DB8:0::1]:7400', '2001:db8::1', 'accepted'],
  [{ host: '0.0.0.0' }, '192.0.2.1:7400', '192.0.2.1', 'accepted'],
  [{ host: '0.0.0.0' }, '192.0.2.2:7400', '192.0.2.1', 'refused'],
  [{ host: '0.0.0.0' }, '0.0.0.0:7400', '192.0.2.1', 'refused'],
  [{ host: '0.0.0.0' }, 'control.test', '192.0.2.1', 'refused'],
  [{ host: '0.0.0.0' }, 'localhost', '127.0.0.1', 'accepted'],
  [{ host: '::' }, '192.0.2.1', '::ffff:192.0.2.1', 'accepted'],
  [{ host: '::' }, 'localhost:7400', '::ffff:127.0.0.1', 'accepted'],
  [{ host: '::' }, '[2001:db8::1]', '2001:db8::1', 'accepted'],
  [{ host: '0.0.0.0', public_url: 'https://control.test:8443' }, 'control.test', '192.0.2.1', 'accepted'],
  [{ host: '0.0.0.0', public_url: 'https://control.test' }, '192.0.2.1', '192.0.2.1', 'refused'],
  [{ public_url: 'https://control.test' }, 'control.test', '127.0.0.1', 'accepted'],
  [{ host: '0.0.0.0', allowed_hosts: ['a.test', '2001:db8::2'] }, 'a.test:1', '192.0.2.1', 'accepted'],
  [{ host: '0.0.0.0', allowed_hosts: ['a.test', '2001:db8::2'] }, '[2001:db8::2]', '192.0.2.1', 'accepted'],
  [{ host: '0.0.0.0', allowed_hosts: ['a.test'] }, 'b.a.test', '192.0.2.1', 'refused'],
  [{ host: '0.0.0.0', allowed_hosts: ['a.test'] }, '192.0.2.1', '192.0.2.1', 'refused'],
  [{ host: '192.0.2.1', allowed_hosts: ['a.test'] }, '192.0.2.1', '192.0.2.1', 'refused'],
])('with %j, Host %s at %s is %s', (config, host, local, expected) => {
  expect(verdict(config, host, local)).toBe(expected);
});

it('names the setting that would change its mind', () => {
  expect(() => new HostPolicy({ host: '0.0.0.0', allowed_hosts: [] }).check('a.test:1', '192.0.2.1')).toThrow(
    'this server is not called a.test: add that name to listen.allowed_hosts',
  );
});

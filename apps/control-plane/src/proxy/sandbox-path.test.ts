import { describe, expect, it } from 'vitest';
import { parseSandboxPath, rawUrlOf, routedUrl } from './sandbox-path.ts';

describe('the path of a service', () => {
  it.each([
    ['/sandboxes/build-1/proxy/80', '/'],
    ['/sandboxes/build-1/proxy/80/', '/'],
    ['/sandboxes/build-1/proxy/80?pty=1', '/?pty=1'],
    ['/v1/sandboxes/build-1/proxy/80/a', '/a'],
    ['/sandboxes/build-1/proxy/80/a/../../b', '/a/../../b'],
    ['/sandboxes/build-1/proxy/80/%2e%2e/%2F/%zz//x', '/%2e%2e/%2F/%zz//x'],
    ['/sandboxes/build-1/proxy/80/a?x=1?y=/../&z=%00#f', '/a?x=1?y=/../&z=%00#f'],
    ['/sandboxes/build-1/proxy/80//host/a', '//host/a'],
  ])('of %s is what follows the prefix, as it is', (url, target) => {
    expect(parseSandboxPath(url)).toEqual({ sandbox: 'build-1', port: 80, target });
  });

  it.each(['f8a3c6a2-6f0e-4b39-9a0c-5f2b8f2f1c11', 'build-1.web', 'A_b'])('may name %s', (sandbox) => {
    expect(parseSandboxPath(`/sandboxes/${sandbox}/proxy/65535/`)).toEqual({ sandbox, port: 65_535, target: '/' });
  });

  it.each([
    '/sandboxes/build-1/proxy/',
    '/sandboxes/build-1/proxy/x/',
    '/sandboxes/build-1/proxy/0/',
    '/sandboxes/build-1/proxy/080/',
    '/sandboxes/build-1/proxy/65536/',
    '/sandboxes/build-1/proxy/80a/',
    '/sandboxes/build-1/proxy/80%2F',
    '/sandboxes/build-1/proxy/80;x/',
    '/sandboxes//proxy/80/',
    '/sandboxes/a/b/proxy/80/',
    '/sandboxes/a%2Fb/proxy/80/',
    '/sandboxes/build-1//proxy/80/',
    '/Sandboxes/build-1/proxy/80/',
    '/v2/sandboxes/build-1/proxy/80/',
    '/x/../sandboxes/build-1/proxy/80/',
    'http://host/sandboxes/build-1/proxy/80/',
    '',
  ])('is not %s', (url) => {
    expect(parseSandboxPath(url)).toBeUndefined();
    expect(routedUrl({ url })).toBe(url);
  });
});

describe('the router', () => {
  it.each([
    ['/sandboxes/a/proxy/80', '/sandboxes/a/proxy/80'],
    ['/sandboxes/a/proxy/80?token=x', '/sandboxes/a/proxy/80'],
    ['/v1/sandboxes/a/proxy/80/../../x?y', '/v1/sandboxes/a/proxy/80/'],
    ['/api/v1/agents?limit=1', '/api/v1/agents?limit=1'],
  ])('sees of %s only %s', (url, seen) => {
    expect(routedUrl({ url })).toBe(seen);
  });

  it('does not hide what came', () => {
    expect(rawUrlOf({ url: '/short', originalUrl: '/long?x' })).toBe('/long?x');
    expect(rawUrlOf({ url: '/only' })).toBe('/only');
  });
});

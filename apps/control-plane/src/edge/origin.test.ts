import { expect, it } from 'vitest';
import { checkOrigin } from './origin.ts';
import type { OriginFacts } from './origin.ts';

const OWN = 'https://control.test';
const FOREIGN = 'https://evil.test';

function verdict(facts: Partial<OriginFacts>): string {
  try {
    checkOrigin({
      method: 'POST',
      isUpgrade: false,
      origin: undefined,
      fetchSite: undefined,
      host: 'control.test',
      protocol: 'https',
      hasBearer: false,
      hasCookie: false,
      ...facts,
    });
    return 'accepted';
  } catch (error) {
    expect(error).toMatchObject({ code: 'forbidden' });
    return 'refused';
  }
}

const COOKIE = { hasCookie: true };
const BEARER = { hasBearer: true };
const UPGRADE = { method: 'GET', isUpgrade: true };

it.each<[what: string, facts: Partial<OriginFacts>, expected: string]>([
  ['a change with a cookie from a page of ours', { ...COOKIE, origin: OWN }, 'accepted'],
  ['a change with a cookie from a foreign page', { ...COOKIE, origin: FOREIGN }, 'refused'],
  ['a change with a cookie from a sandboxed page', { ...COOKIE, origin: 'null' }, 'refused'],
  ['a change with a cookie and no Origin', COOKIE, 'refused'],
  ['a change with a bearer and no Origin', BEARER, 'accepted'],
  ['a change with a bearer from a foreign page', { ...BEARER, origin: FOREIGN }, 'accepted'],
  ['a change with a bearer and a cookie from a foreign page', { ...BEARER, ...COOKIE, origin: FOREIGN }, 'accepted'],
  ['a change with nothing and no Origin, as curl signs in', {}, 'accepted'],
  ['a change with nothing from a foreign page', { origin: FOREIGN }, 'refused'],
  ['a read with a cookie and no Origin', { ...COOKIE, method: 'GET' }, 'accepted'],
  ['a read with a cookie that another site began', { ...COOKIE, method: 'GET', fetchSite: 'cross-site' }, 'refused'],
  ['a read with a cookie that our site began', { ...COOKIE, method: 'GET', fetchSite: 'same-origin' }, 'accepted'],
  ['a read with a bearer that another site began', { ...BEARER, method: 'GET', fetchSite: 'cross-site' }, 'accepted'],
  ['a read with nothing that another site began', { method: 'GET', fetchSite: 'cross-site' }, 'accepted'],
  ['a WebSocket with a cookie from a page of ours', { ...UPGRADE, ...COOKIE, origin: OWN }, 'accepted'],
  ['a WebSocket with a cookie from a foreign page', { ...UPGRADE, ...COOKIE, origin: FOREIGN }, 'refused'],
  ['a WebSocket with a cookie and no Origin', { ...UPGRADE, ...COOKIE }, 'refused'],
  ['a WebSocket with nothing and no Origin', UPGRADE, 'refused'],
  ['a WebSocket with a bearer and no Origin', { ...UPGRADE, ...BEARER }, 'accepted'],
  ['a WebSocket with a bearer from a foreign page', { ...UPGRADE, ...BEARER, origin: FOREIGN }, 'accepted'],
])('%#: %s is %s', (_what, facts, expected) => {
  expect(verdict(facts)).toBe(expected);
});

it.each([
  ['https://control.test', 'https', 'control.test:443', 'accepted'],
  ['http://control.test', 'http', 'control.test:80', 'accepted'],
  ['https://control.test:8443', 'https', 'control.test:8443', 'accepted'],
  ['http://[::1]:7400', 'http', '[::1]:7400', 'accepted'],
  ['http://control.test', 'https', 'control.test', 'refused'],
  ['https://control.test:8443', 'https', 'control.test', 'refused'],
  ['https://a.control.test', 'https', 'control.test', 'refused'],
  ['https://control.test.evil.test', 'https', 'control.test', 'refused'],
  ['https://CONTROL.test', 'https', 'control.test', 'refused'],
  ['https://control.test/', 'https', 'control.test', 'refused'],
])('compares exactly: %s to %s://%s is %s', (origin, protocol, host, expected) => {
  expect(verdict({ hasCookie: true, origin, protocol, host })).toBe(expected);
});

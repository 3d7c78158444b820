import { expect, it } from 'vitest';
import { refusesCredentialsInUrl, requireNoCredentialsInUrl } from './url-credentials.ts';

it.each([
  '/api/v1/agents?token=x',
  '/api/v1/agents?limit=1&access_token=x',
  '/api/v1/agents?API-Key=x',
  '/api/v1/agents?Password=',
  '/api/v1/agents?%74oken=x',
  '/api/v1/agents?a=b?c&secret=x',
  '/api/v1/agents?q=dbt_0123456789abcdef',
  '/api/v1/agents?q=Bearer%20dbk_0123456789abcdef',
  '/api/v1/agents?dbj_0123456789abcdef',
  'http://me:hunter2@control.test/api/v1/agents',
  'http://token@control.test/',
])('refuses %s', (url) => {
  expect(refusesCredentialsInUrl(url)).toBe(true);
});

it.each([
  '/',
  '/token',
  '/sign-in?',
  '/api/v1/agents?limit=1&cursor=abc',
  '/api/v1/agents?selector=token%3Dx',
  '/api/v1/tasks?key_id=1',
  '/api/v1/agents/me@home',
  'http://control.test/a@b',
])('takes %s', (url) => {
  expect(refusesCredentialsInUrl(url)).toBe(false);
});

it('says so without repeating it', () => {
  expect(() => requireNoCredentialsInUrl('/?token=hunter2')).toThrow(
    expect.objectContaining({ code: 'credentials_in_url', message: expect.not.stringContaining('hunter2') }),
  );
});

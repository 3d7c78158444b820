import { expect, it } from 'vitest';
import { isAllowed } from './is-allowed.ts';

it.each<[name: string, allow: string[], deny: string[], allowed: boolean]>([
  ['docker.list', ['*'], [], true],
  ['docker.list', [], [], false],
  ['docker.list', ['*'], ['docker.*'], false],
  ['task.start', ['*'], ['docker.*'], true],
  ['docker.list', ['docker.list'], [], true],
  ['docker.list', ['docker.lis'], [], false],
  ['docker.list', ['docker'], [], false],
  ['docker.list', ['*.list'], [], true],
  ['docker.list', ['d*r*t'], [], true],
  ['docker.list', ['d*t*r'], [], false],
  ['aba', ['ab*ba'], [], false],
  ['dockerXlist', ['docker.list'], [], false],
  ['abcabc', ['*abc*abc*'], [], true],
  ['abc', ['*abc*abc*'], [], false],
])('%s with allow %j and deny %j: %s', (name, allow, deny, allowed) => {
  expect(isAllowed(name, { allow, deny })).toBe(allowed);
});

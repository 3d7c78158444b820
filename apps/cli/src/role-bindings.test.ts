import { expect, it } from 'vitest';
import { parseRole, rolesText } from './role-bindings.ts';

it.each([
  ['viewer', { role: 'viewer', selector: '' }],
  ['operator:env=dev,site=lab', { role: 'operator', selector: 'env=dev,site=lab' }],
  ['operator:!prod', { role: 'operator', selector: '!prod' }],
])('reads %s, and writes it so again', (text, binding) => {
  expect(parseRole(text)).toEqual(binding);
  expect(rolesText([binding])).toBe(text);
});

it.each(['', ':env=dev', 'operator:', 'operator: ', 'two words', 'operator:==', 'operator:env=dev:lab'])(
  'refuses %j, and never takes it for a role on every agent',
  (text) => {
    expect(() => parseRole(text)).toThrow(`--role ${text}: `);
  },
);

it('writes several side by side', () => {
  const roles = [
    { role: 'viewer', selector: '' },
    { role: 'operator', selector: 'env=dev' },
  ];
  expect(rolesText(roles)).toBe('viewer operator:env=dev');
});

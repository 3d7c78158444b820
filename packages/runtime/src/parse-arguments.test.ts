import { expect, expectTypeOf, it } from 'vitest';
import { parseArguments } from './parse-arguments.ts';

const parse = (...args: string[]) =>
  parseArguments({
    args,
    allowPositionals: true,
    options: { name: { type: 'string' }, label: { type: 'string', multiple: true }, force: { type: 'boolean' } },
  });

it('gives what was typed, with the type its option has', () => {
  const { values, positionals } = parse('--name', 'a', '--label', 'b', '--label', 'c', '--force', 'file');
  expect({ ...values }).toEqual({ name: 'a', label: ['b', 'c'], force: true });
  expect(positionals).toEqual(['file']);
  expectTypeOf(values.name).toEqualTypeOf<string | undefined>();
  expectTypeOf(values.label).toEqualTypeOf<string[] | undefined>();
  expectTypeOf(values.force).toEqualTypeOf<boolean | undefined>();
});

it.each([
  ['an option it does not know', ['--colour'], /--colour/],
  ['an option without its value', ['--name'], /--name/],
  ['a value for a switch', ['--force=yes'], /--force/],
])('refuses %s, and says which', (_what, args, message) => {
  expect(() => parse(...args)).toThrow(
    expect.objectContaining({ code: 'invalid_request', message: expect.stringMatching(message) }),
  );
});

it('refuses a word where none is expected', () => {
  expect(() => parseArguments({ args: ['stray'] })).toThrow(
    expect.objectContaining({ code: 'invalid_request', message: expect.stringMatching(/stray/) }),
  );
});

it('does not blame who typed for options that are wrong themselves', () => {
  expect(() => parseArguments({ args: [], options: { name: { type: 'string', short: 'too long' } } })).toThrow(
    expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }),
  );
});

import { expect, it } from 'vitest';
import { hashPassword, requireStrong, verifyPassword } from './password.ts';

const PASSWORD = 'correct horse battery';

it('knows a password again by a hash that does not show it', async () => {
  const stored = await hashPassword(PASSWORD);
  expect(stored).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
  expect(stored).not.toContain(PASSWORD);
  expect(await verifyPassword(PASSWORD, stored)).toBe(true);
  expect(await verifyPassword(`${PASSWORD} `, stored)).toBe(false);
});

it('salts: the same password is stored differently each time', async () => {
  expect(await hashPassword(PASSWORD)).not.toBe(await hashPassword(PASSWORD));
});

it('takes a password in whatever way its letters were composed', async () => {
  const stored = await hashPassword('gr\u00fcezi mitenand');
  expect(await verifyPassword('gru\u0308ezi mitenand', stored)).toBe(true);
});

it('computes for a name that nobody has, and says no even to the right guess', async () => {
  expect(await verifyPassword(PASSWORD, null)).toBe(false);
});

it('knows a password by a hash that the reference implementation has made', async () => {
  // echo -n 'correct horse battery' | argon2 saltsaltsaltsalt -id -t 2 -k 19456 -p 1 -l 32 -e   (argon2 20190702)
  const reference = '$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$iPOQ5f2O21FsjnBvo1AiFcDuSXciCnKUrXFO+yfgNoM';
  expect(await verifyPassword(PASSWORD, reference)).toBe(true);
});

it.each(['short', 'aaaaaaaaaaaaaaaa', 'x'.repeat(300)])('refuses %j, without repeating it', (password) => {
  expect(() => requireStrong(password)).toThrow(expect.objectContaining({ code: 'password_weak' }));
  expect(() => requireStrong(password)).not.toThrow(new RegExp(password));
});

it('fails loudly for a stored hash that is none', async () => {
  await expect(verifyPassword(PASSWORD, 'plain text')).rejects.toMatchObject({ code: 'internal' });
});

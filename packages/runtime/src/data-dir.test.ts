import { TempDir } from '@drawbridge/testkit';
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { expect, it } from 'vitest';
import { dataDirOf, makeDataDir } from './data-dir.ts';

it.each<[flag: string | undefined, env: Record<string, string>, expected: string]>([
  ['/flag', { DRAWBRIDGE_DATA: '/env' }, '/flag'],
  ['relative', {}, resolve('relative')],
  [undefined, { DRAWBRIDGE_DATA: '/env', XDG_DATA_HOME: '/xdg' }, '/env'],
  [undefined, { XDG_DATA_HOME: '/xdg' }, '/xdg/drawbridge'],
  [undefined, { XDG_DATA_HOME: 'relative' }, '/home/me/.local/share/drawbridge'],
  ['', { DRAWBRIDGE_DATA: '' }, '/home/me/.local/share/drawbridge'],
])('with --data %j and %j is %s', (flag, env, expected) => {
  expect(dataDirOf(flag, env, '/home/me')).toBe(expected);
});

it('is made for its owner alone, with everything above it, and may be there', async () => {
  await using dir = await TempDir.make();
  const path = dir.join('a', 'b');
  makeDataDir(path);
  makeDataDir(path);
  expect((await stat(path)).mode & 0o777).toBe(0o700);
  expect((await stat(dir.join('a'))).mode & 0o777).toBe(0o700);
});

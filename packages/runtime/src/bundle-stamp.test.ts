import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { TempDir } from '@drawbridge/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { STAMP_FILE, isBundleCurrent, stampOf } from './bundle-stamp.ts';

let root: TempDir;
beforeEach(async () => {
  root = await TempDir.make();
  await mkdir(root.join('page'));
  await mkdir(root.join('dist'));
  await writeFile(root.join('main.ts'), 'one');
  await writeFile(root.join('page/index.html'), 'two');
  await writeFile(root.join('other.ts'), 'three');
  await writeFile(
    root.join('dist', STAMP_FILE),
    JSON.stringify(await stampOf(root.path, '1.0.0', ['page', 'main.ts'])),
  );
});
afterEach(() => root[Symbol.asyncDispose]());

const isCurrent = () => isBundleCurrent(root.path, root.join('dist'));

it('is current as long as nothing it was made of changes', async () => {
  expect(await isCurrent()).toBe(true);
  await writeFile(root.join('other.ts'), 'changed');
  expect(await isCurrent()).toBe(true);
});

describe('is not current', () => {
  it.each([
    ['a file it was made of has changed', () => writeFile(root.join('main.ts'), 'changed')],
    ['a file it was made of is gone', () => rm(root.join('main.ts'))],
    ['a file in a folder has changed', () => writeFile(root.join('page/index.html'), 'changed')],
    ['a folder has a file more', () => writeFile(root.join('page/new.js'), '')],
    ['a file in a folder has another name', () => rename(root.join('page/index.html'), root.join('page/other.html'))],
    ['there is no bundle', () => rm(root.join('dist'), { recursive: true })],
    ['its stamp was cut short', () => writeFile(root.join('dist', STAMP_FILE), '{"version":')],
  ])('when %s', async (_when, happens) => {
    await happens();
    expect(await isCurrent()).toBe(false);
  });
});

it('does not depend on the order in which files are named', async () => {
  const stamps = [
    ['main.ts', 'page'],
    ['page', 'main.ts', 'main.ts'],
  ].map((paths) => stampOf(root.path, '1', paths));
  const [one, other] = (await Promise.all(stamps)).map((stamp) => JSON.stringify(stamp));
  expect(one).toBe(other);
});

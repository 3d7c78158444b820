import { TempDir } from '@drawbridge/testkit';
import { mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { writeFileAtomic } from './atomic-file.ts';

it('replaces what was there with a file that only its owner reads', async () => {
  await using dir = await TempDir.make();
  const path = dir.join('identity.json');
  await writeFile(path, 'old, and longer', { mode: 0o644 });
  await writeFileAtomic(path, 'new');
  expect(await readFile(path, 'utf8')).toBe('new');
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect(await readdir(dir.path)).toEqual(['identity.json']);
});

it('leaves the old content and no other file when it fails', async () => {
  await using dir = await TempDir.make();
  await mkdir(dir.join('taken'));
  await expect(writeFileAtomic(dir.join('taken'), 'x')).rejects.toThrow('EISDIR');
  expect(await readdir(dir.path)).toEqual(['taken']);
});

it('leaves one of the contents whole when many write at once', async () => {
  await using dir = await TempDir.make();
  const path = dir.join('file');
  const contents = Array.from({ length: 20 }, (_, index) => String(index).repeat(5_000));
  await Promise.all(contents.map((content) => writeFileAtomic(path, content)));
  expect(contents).toContain(await readFile(path, 'utf8'));
  expect(await readdir(dir.path)).toEqual(['file']);
});

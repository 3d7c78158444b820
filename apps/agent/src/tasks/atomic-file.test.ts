import { mkdir, readFile, readdir, stat } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { TempDir } from '@drawbridge/testkit';
import { writeFileAtomic } from './atomic-file.ts';

it('replaces a file, for its owner alone, and leaves nothing beside it', async () => {
  await using dir = await TempDir.make();
  await writeFileAtomic(dir.join('file'), 'old', { durable: true });
  await writeFileAtomic(dir.join('file'), 'new', { durable: true });
  expect(await readFile(dir.join('file'), 'utf8')).toBe('new');
  expect((await stat(dir.join('file'))).mode & 0o777).toBe(0o600);
  expect(await readdir(dir.path)).toEqual(['file']);
});

it('leaves nothing beside a file it could not replace', async () => {
  await using dir = await TempDir.make();
  await mkdir(dir.join('file'));
  await expect(writeFileAtomic(dir.join('file'), 'new', { durable: true })).rejects.toMatchObject({ code: 'EISDIR' });
  expect(await readdir(dir.path)).toEqual(['file']);
});

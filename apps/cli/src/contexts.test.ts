import { chmod, mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { TempDir } from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import { Contexts } from './contexts.ts';
import type { Context } from './contexts.ts';

function context(name: string): Context {
  return {
    name,
    url: `https://${name}.example.com`,
    token: 'dbs_x',
    kind: 'session',
    ca: null,
    user: 'ann',
    expires_at: null,
  };
}

it('remembers contexts, the newest being the current one', async () => {
  await using dir = await TempDir.make();
  const contexts = await Contexts.open(dir.join('new'));
  expect(contexts.current).toBeUndefined();
  await contexts.put(context('prod'));
  await contexts.put(context('lab'));
  const again = await Contexts.open(dir.join('new'));
  expect(again.all).toEqual([context('lab'), context('prod')]);
  expect(again.current).toEqual(context('lab'));
});

it('is readable by its owner alone, and leaves nothing beside', async () => {
  await using dir = await TempDir.make();
  await (await Contexts.open(dir.join('new'))).put(context('lab'));
  expect((await stat(dir.join('new'))).mode & 0o777).toBe(0o700);
  expect((await stat(dir.join('new', 'contexts.json'))).mode & 0o777).toBe(0o600);
  await chmod(dir.join('new', 'contexts.json'), 0o644);
  await (await Contexts.open(dir.join('new'))).put(context('prod'));
  expect((await stat(dir.join('new', 'contexts.json'))).mode & 0o777).toBe(0o600);
  expect(await readdir(dir.join('new'))).toEqual(['contexts.json']);
});

it('replaces the context of the same name', async () => {
  await using dir = await TempDir.make();
  const contexts = await Contexts.open(dir.path);
  await contexts.put(context('lab'));
  await contexts.put({ ...context('lab'), user: 'bob' });
  expect(contexts.all).toEqual([{ ...context('lab'), user: 'bob' }]);
});

it('switches, to the local control plane too, and to nothing that is not there', async () => {
  await using dir = await TempDir.make();
  const contexts = await Contexts.open(dir.path);
  await contexts.put(context('lab'));
  await contexts.put(context('prod'));
  await contexts.use('lab');
  expect(contexts.current?.name).toBe('lab');
  await contexts.use('local');
  expect([contexts.current, contexts.currentName]).toEqual([undefined, 'local']);
  await expect(contexts.use('gone')).rejects.toThrow('there is no context gone');
});

it('forgets a token and keeps the rest', async () => {
  await using dir = await TempDir.make();
  const contexts = await Contexts.open(dir.path);
  await contexts.put({ ...context('lab'), expires_at: '2026-01-07T10:00:00.000Z' });
  await contexts.forgetToken('lab');
  expect((await Contexts.open(dir.path)).current).toEqual({ ...context('lab'), token: null });
  expect(await readFile(dir.join('contexts.json'), 'utf8')).not.toContain('dbs_x');
});

it('forgets a context, and has no current one then', async () => {
  await using dir = await TempDir.make();
  const contexts = await Contexts.open(dir.path);
  await contexts.put(context('lab'));
  await contexts.put(context('prod'));
  await contexts.remove('lab');
  expect(contexts.current?.name).toBe('prod');
  await contexts.remove('prod');
  expect([contexts.all, contexts.currentName]).toEqual([[], null]);
  await expect(contexts.remove('lab')).rejects.toThrow('there is no context lab');
});

it.each(['', '{', '{"version":2}', '{"version":1,"current":null,"contexts":[{"token":"dbs_secret"}]}'])(
  'names a file it cannot understand, and none of its secrets: %s',
  async (text) => {
    await using dir = await TempDir.make();
    await writeFile(dir.join('contexts.json'), text);
    const error = await Contexts.open(dir.path).catch((e: unknown) => e);
    expect(error).toMatchObject({ name: 'UsageError', message: expect.stringContaining(dir.join('contexts.json')) });
    expect(String(error)).not.toContain('dbs_secret');
  },
);

it('does not take a file it may not read for an empty one', async () => {
  await using dir = await TempDir.make();
  await mkdir(dir.join('contexts.json'));
  await expect(Contexts.open(dir.path)).rejects.toThrow('EISDIR');
});

import { readdirSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { TempDir } from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import { AGENT_LIMITS } from '../limits.ts';
import { PipePool } from './pipe-pool.ts';

it('gives each task pipes of its own, which a script can open again by name', async () => {
  await using dir = await TempDir.make();
  using pool = new PipePool(dir.path);
  const said = await Promise.all(
    ['one', 'two'].map(async (word) => {
      const pipes = await pool.take();
      const child = spawn('/bin/sh', ['-c', `echo ${word}; echo ${word}! > /dev/stderr`], { stdio: pipes.stdio });
      pipes.closeWriters();
      const { stdout, stderr } = pipes.read();
      const [out, err] = await Promise.all([text(stdout), text(stderr), once(child, 'exit')]);
      return `${out}${err}`;
    }),
  );
  expect(said).toEqual(['one\none!\n', 'two\ntwo!\n']);
});

it('makes more when many tasks take at once, and leaves neither a name nor an open file', async () => {
  await using dir = await TempDir.make();
  const openBefore = readdirSync('/proc/self/fd').length;
  const pool = new PipePool(dir.path);
  const taken = await Promise.all(Array.from({ length: AGENT_LIMITS.sparePipes + 1 }, () => pool.take()));
  expect(new Set(taken.flatMap((pipes) => pipes.stdio)).size).toBe(2 * taken.length + 1);
  for (const pipes of taken) pipes.close();
  pool[Symbol.dispose]();
  expect(readdirSync(dir.join('.pipes'))).toEqual([]);
  expect(readdirSync('/proc/self/fd')).toHaveLength(openBefore);
});

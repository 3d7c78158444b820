import { execFileSync } from 'node:child_process';
import { mkdir, open, writeFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { requires, TempDir } from '@drawbridge/testkit';
import { linuxProcessTable } from './process-table-linux.ts';

const MARK = 'A=1\0DRAWBRIDGE_TASK_ID=task\0';
const stat = (state: string, flags: number) =>
  `42 (a) ${state} 1 42 7 0 -1 ${flags} 99 0 0 0 0 0 0 0 20 0 1 0 239113 3133440 393`;

/** A directory in place of /proc, with one process; who reads its command line waits for `say`. */
async function procOf(state = 'R', flags = 4_194_304) {
  const dir = await TempDir.make();
  await mkdir(dir.join('42'));
  await writeFile(dir.join('42', 'stat'), stat(state, flags));
  const [environ, cmdline] = [dir.join('42', 'environ'), dir.join('42', 'cmdline')];
  await writeFile(environ, '');
  execFileSync('mkfifo', [cmdline]);
  return {
    table: linuxProcessTable(dir.path),
    environ: (text: string) => writeFile(environ, text),
    /** Opens once somebody reads, which is after a look at the environment. */
    asked: () => open(cmdline, 'w'),
    [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose](),
  };
}

it.runIf(requires('linux')).each([
  ['it is still between two programs', ''],
  ['the next program has begun', 'sleep\x001000\0'],
])('finds the mark of a process that was in the middle of exec, when after the first look %s', async (_what, words) => {
  await using proc = await procOf();
  const taskId = proc.table.taskIdOf(42);
  {
    await using asked = await proc.asked();
    await proc.environ(MARK);
    await asked.writeFile(words);
  }
  expect(await taskId).toBe('task');
});

it.runIf(requires('linux'))('looks once more, and no more, at a program without an environment', async () => {
  await using proc = await procOf();
  const taskId = proc.table.taskIdOf(42);
  {
    await using asked = await proc.asked();
    await asked.writeFile('sleep\x001000\0');
  }
  expect(await taskId).toBeUndefined();
});

it.runIf(requires('linux')).each([
  ['a thread of the kernel', 'S', 0x0020_8040],
  ['a process that has died meanwhile', 'Z', 4_194_304],
])('does not wait for %s', async (_what, state, flags) => {
  await using proc = await procOf(state, flags);
  const taskId = proc.table.taskIdOf(42);
  await (await proc.asked()).close();
  expect(await taskId).toBeUndefined();
});

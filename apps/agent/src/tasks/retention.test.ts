import { randomUUID } from 'node:crypto';
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { beforeEach, expect, it } from 'vitest';
import { FakeClock, TempDir } from '@drawbridge/testkit';
import { AGENT_LIMITS } from '../limits.ts';
import { Retention } from './retention.ts';
import { createTaskDir, taskDirOf } from './task-dir.ts';
import { writeTaskState } from './task-state-file.ts';

const DAY_MS = 86_400_000;
const clock = new FakeClock();
const never = new AbortController().signal;

let live: Set<string>;
beforeEach(() => {
  live = new Set();
});

function retention(root: TempDir, more: { retentionDays?: number; totalBytesMax?: number } = {}): Retention {
  return new Retention({
    workspaceRoot: root.path,
    clock,
    retentionDays: 30,
    totalBytesMax: undefined,
    isLive: (taskId) => live.has(taskId),
    ...more,
  });
}

/** A task that ended some days ago, with that much in its working directory. */
async function finished(root: TempDir, endedDaysAgo: number, bytes = 1): Promise<string> {
  const taskId = randomUUID();
  const dir = taskDirOf(root.path, taskId);
  await createTaskDir(dir, 'x');
  await writeFile(`${dir.workDir}/data`, Buffer.alloc(bytes, 1));
  const at = new Date(clock.now() - endedDaysAgo * DAY_MS).toISOString();
  await writeTaskState(dir, { task_id: taskId, provider: 'shell', state: 'succeeded', created_at: at, ended_at: at });
  return taskId;
}

it('removes what is past its days, and keeps the rest', async () => {
  await using root = await TempDir.make();
  const old = await finished(root, 31);
  const young = await finished(root, 29);
  expect(await retention(root).sweep(never)).toEqual({ removed: [old], failed: [], more: false });
  expect(await readdir(root.path)).toEqual([young]);
});

it('removes the oldest until the rest fits', async () => {
  await using root = await TempDir.make();
  const [, oldest, older] = [
    await finished(root, 1, 200_000),
    await finished(root, 3, 200_000),
    await finished(root, 2, 200_000),
  ];
  const { removed } = await retention(root, { totalBytesMax: 300_000 }).sweep(never);
  expect(removed).toEqual([oldest, older]);
});

it('never touches a live task, however old and large', async () => {
  await using root = await TempDir.make();
  const taskId = await finished(root, 99, 200_000);
  live.add(taskId);
  const sweeper = retention(root, { totalBytesMax: 1 });
  expect((await sweeper.sweep(never)).removed).toEqual([]);
  live.delete(taskId);
  expect((await sweeper.sweep(never)).removed).toEqual([taskId]);
});

it('leaves alone what is no task, and follows no link', async () => {
  await using root = await TempDir.make();
  await using elsewhere = await TempDir.make();
  await mkdir(root.join('.processes'));
  await writeFile(elsewhere.join('kept'), 'kept');
  await symlink(elsewhere.path, root.join(randomUUID()));
  const taskId = await finished(root, 31);
  await symlink(elsewhere.path, root.join(taskId, 'work', 'link'));
  expect((await retention(root).sweep(never)).removed).toEqual([taskId]);
  expect(await readdir(elsewhere.path)).toEqual(['kept']);
  expect(await readdir(root.path)).toContain('.processes');
});

it('does a bounded amount of work in one sweep, and says that there is more', async () => {
  await using root = await TempDir.make();
  const count = AGENT_LIMITS.retentionRemovalsMax + 1;
  for (let index = 0; index < count; index += 1) await finished(root, 40);
  const sweeper = retention(root);
  expect(await sweeper.sweep(never)).toMatchObject({ removed: { length: count - 1 }, more: true });
  expect(await sweeper.sweep(never)).toMatchObject({ removed: { length: 1 }, more: false });
});

it('takes a task without an end for as old as its directory', async () => {
  await using root = await TempDir.make();
  const taskId = randomUUID();
  await createTaskDir(taskDirOf(root.path, taskId), 'x');
  expect((await retention(root).sweep(never)).removed).toEqual([]);
  expect((await retention(root, { retentionDays: -100_000 }).sweep(never)).removed).toEqual([taskId]);
});

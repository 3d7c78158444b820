import { randomUUID } from 'node:crypto';
import { readFile, readdir, rename, symlink } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { eventually, TempDir } from '@drawbridge/testkit';
import type { ProcessTable } from './process-table.ts';
import { systemProcessTable } from './system-process-table.ts';
import { TaskFixture } from './task-fixture.ts';

const system = systemProcessTable();
const recordOf = async (tasks: TaskFixture, taskId: string): Promise<unknown> =>
  JSON.parse(await readFile(`${tasks.workspaceRoot}/.processes/${taskId}.json`, 'utf8'));

it('has a task on record before its process starts', async () => {
  const taskId = randomUUID();
  // The agent does not get to its second record before the process has looked at the first.
  const table: ProcessTable = {
    ...system,
    identify: async (pid) => {
      const identity = await system.identify(pid);
      await eventually(() => tasks.text(taskId, 'work/seen'), { what: 'the look', until: (text) => text !== '' });
      return identity;
    },
  };
  await using tasks = await TaskFixture.make({ table });
  await tasks.run('cat ../../.processes/$DRAWBRIDGE_TASK_ID.json > look; mv look seen', { task_id: taskId });
  expect(JSON.parse(await tasks.text(taskId, 'work/seen'))).toEqual({
    task_id: taskId,
    boot_id: await system.bootId(),
  });
});

it('has the process on record before the task is announced as running, and off it at the end', async () => {
  await using tasks = await TaskFixture.make();
  const taskId = randomUUID();
  const records: unknown[] = [];
  const onState = async (state: string) => {
    if (state === 'running') records.push(await recordOf(tasks, taskId));
  };
  await tasks.run('echo $$', { task_id: taskId, hooks: { onState } });
  const pid = Number(await tasks.text(taskId, 'output/result.md'));
  expect(records).toMatchObject([{ task_id: taskId, process: { pid } }]);
  expect(await readdir(`${tasks.workspaceRoot}/.processes`)).toEqual([]);
});

it('leaves a task on record of which something could not be ended', async () => {
  const taskId = randomUUID();
  // A number no machine gives out: it cannot be signalled, and does not go away.
  const immortal = { pid: 2 ** 30, parentPid: 1, session: 2 ** 30, startedAt: Number.MAX_SAFE_INTEGER };
  const table: ProcessTable = {
    ...system,
    list: async () => [...(await system.list()), immortal],
    taskIdOf: async (pid) => (pid === immortal.pid ? taskId : system.taskIdOf(pid)),
  };
  await using tasks = await TaskFixture.make({ table, killGraceMs: 0 });
  expect(await tasks.run('true', { task_id: taskId })).toMatchObject({ state: 'succeeded' });
  expect(await recordOf(tasks, taskId)).toMatchObject({ task_id: taskId });
});

it('writes nothing through a workspace that became a link to elsewhere', async () => {
  await using elsewhere = await TempDir.make();
  await using tasks = await TaskFixture.make();
  await rename(tasks.workspaceRoot, `${tasks.workspaceRoot}.moved`);
  await symlink(elsewhere.path, tasks.workspaceRoot);
  const outcome = await tasks.run('echo secret');
  expect(outcome).toMatchObject({ state: 'failed', error: { code: 'forbidden' } });
  expect(await readdir(elsewhere.join(outcome.task_id))).toEqual([]);
});

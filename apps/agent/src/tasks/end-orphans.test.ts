import { randomUUID } from 'node:crypto';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { systemClock } from '@drawbridge/link';
import { eventually, TempDir } from '@drawbridge/testkit';
import { endOrphans } from './end-orphans.ts';
import { writeProcessRecord } from './process-record.ts';
import { systemProcessTable } from './system-process-table.ts';
import { createTaskDir, taskDirOf } from './task-dir.ts';
import { processesOf } from './task-fixture.ts';
import { readTaskState, writeTaskState } from './task-state-file.ts';

const table = systemProcessTable();
const options = { table, clock: systemClock, killGraceMs: 300 };

/** A process that outlived its agent, or one that has nothing to do with any task. */
async function sleeper(taskId?: string): Promise<ChildProcess & { readonly pid: number } & Disposable> {
  const env = { PATH: process.env['PATH'], ...(taskId !== undefined && { DRAWBRIDGE_TASK_ID: taskId }) };
  const child = spawn('sleep', ['1000'], { env, detached: true, stdio: 'ignore' });
  await once(child, 'spawn');
  const { pid } = child;
  if (pid === undefined) throw new Error('sleep did not start');
  return Object.assign(child, { pid, [Symbol.dispose]: () => void child.kill('SIGKILL') });
}

const isAlive = (child: ChildProcess) => child.exitCode === null && child.signalCode === null;

it('ends what a dead agent left running, with all it had started', async () => {
  await using root = await TempDir.make();
  const taskId = randomUUID();
  const dir = taskDirOf(root.path, taskId);
  await createTaskDir(dir, 'sleep');
  const at = new Date().toISOString();
  await writeTaskState(dir, { task_id: taskId, provider: 'shell', state: 'running', created_at: at });
  using leader = await sleeper(taskId);
  using descendant = await sleeper(taskId);
  await writeProcessRecord(root.path, taskId, table, await table.identify(leader.pid));

  expect(await endOrphans(root.path, options)).toEqual([taskId]);
  expect(await processesOf(taskId)).toEqual([]);
  await eventually(() => !isAlive(leader) && !isAlive(descendant), { what: 'both to be collected' });
  expect(await readTaskState(dir)).toMatchObject({ state: 'indeterminate' });
  expect(await endOrphans(root.path, options)).toEqual([]);
});

it('finds a process that was started but never recorded, by its mark', async () => {
  await using root = await TempDir.make();
  const taskId = randomUUID();
  await writeProcessRecord(root.path, taskId, table);
  using child = await sleeper(taskId);
  expect(await endOrphans(root.path, options)).toEqual([taskId]);
  await eventually(() => !isAlive(child), { what: 'the child to be collected' });
});

it.each([
  ['started at another time', { started_at: 1 }],
  ['belongs to another boot', { boot_id: 'the boot before' }],
])('never ends a process that has the recorded number but %s', async (_name, wrong) => {
  await using root = await TempDir.make();
  const taskId = randomUUID();
  using stranger = await sleeper();
  const identity = await table.identify(stranger.pid);
  const record = { task_id: taskId, boot_id: await table.bootId(), started_at: identity?.startedAt, ...wrong };
  await mkdir(root.join('.processes'));
  await writeFile(
    root.join('.processes', `${taskId}.json`),
    JSON.stringify({ ...record, process: { pid: stranger.pid, started_at: record.started_at } }),
  );
  expect(await endOrphans(root.path, options)).toEqual([taskId]);
  // A signal that was sent has been delivered by the time this next process has started and ended.
  const later = await sleeper();
  later.kill('SIGKILL');
  await once(later, 'exit');
  expect(isAlive(stranger)).toBe(true);
  expect(await readdir(root.join('.processes'))).toEqual([]);
});

it('ends the processes of a task whose record cannot be read', async () => {
  await using root = await TempDir.make();
  const taskId = randomUUID();
  using child = await sleeper(taskId);
  await mkdir(root.join('.processes'));
  await writeFile(root.join('.processes', `${taskId}.json`), '{"task_id":');
  expect(await endOrphans(root.path, options)).toEqual([taskId]);
  await eventually(() => !isAlive(child), { what: 'the child to be collected' });
});

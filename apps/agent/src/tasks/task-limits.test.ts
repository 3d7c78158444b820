import { randomUUID } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { readdir, rm } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { eventually, FakeClock, isAlive, requires, TempDir } from '@drawbridge/testkit';
import { systemProcessTable } from './system-process-table.ts';
import { processesOf, TaskFixture } from './task-fixture.ts';

/** A process that ignores SIGTERM, in a session of its own, with a parent that is gone. */
const STUBBORN_GRANDCHILD = `(setsid sh -c 'trap "" TERM; echo grandchild; while :; do sleep 1; done' &)`;

it('cancels a whole tree, even what has left it and ignores SIGTERM', async () => {
  const clock = new FakeClock();
  await using tasks = await TaskFixture.make({ clock });
  const taskId = randomUUID();
  const cancel = new AbortController();
  const script = `${STUBBORN_GRANDCHILD}\nsleep 1000 & echo up as $$; wait`;
  const running = tasks.run(script, { task_id: taskId, signal: cancel.signal });
  await tasks.printed(taskId, 'grandchild');
  const [, pid] = /up as (\d+)\n/.exec(await tasks.printed(taskId, 'up as')) ?? [];
  cancel.abort();
  await eventually(() => !isAlive(Number(pid)), { what: 'the first process to end' });
  expect(await whileTimePasses(clock, running)).toMatchObject({
    state: 'cancelled',
    signal: 'SIGTERM',
    error: { code: 'cancelled' },
  });
  expect(await processesOf(taskId)).toEqual([]);
});

it.each([
  ['parent', `env -i setsid sh -c 'echo $$; exec sleep 1000' & wait`],
  ['session, when its parent is gone', `env -i sh -c 'echo $$; exec sleep 1000' & exit 0`],
])('ends a child that hides its mark, by its %s', async (_name, script) => {
  const clock = new FakeClock();
  await using tasks = await TaskFixture.make({ clock });
  const taskId = randomUUID();
  const cancel = new AbortController();
  const running = tasks.run(script, { task_id: taskId, signal: cancel.signal });
  const pid = Number.parseInt(await tasks.printed(taskId, '\n'), 10);
  cancel.abort();
  await whileTimePasses(clock, running);
  expect(pid).toBeGreaterThan(1);
  expect(await systemProcessTable().list()).not.toContainEqual(expect.objectContaining({ pid }));
});

it('lets a cancelled task clean up, and keeps what it says about it', async () => {
  await using tasks = await TaskFixture.make({ killGraceMs: 30_000 });
  const taskId = randomUUID();
  const cancel = new AbortController();
  const script = `trap 'echo cleaned; exit 7' TERM; echo up; while :; do sleep 0.01; done`;
  const running = tasks.run(script, { task_id: taskId, signal: cancel.signal });
  await tasks.printed(taskId, 'up');
  cancel.abort();
  expect(await running).toMatchObject({ state: 'cancelled', exit_code: 7 });
  // Some shells also say that their `sleep` was ended.
  expect(await tasks.text(taskId, 'output/output.log')).toMatch(/^up\n(Terminated\n)?cleaned\n$/);
});

it('asks a process to end once, and does not go on asking', async () => {
  const clock = new FakeClock();
  await using tasks = await TaskFixture.make({ clock });
  const taskId = randomUUID();
  const cancel = new AbortController();
  const script = `trap 'echo asked' TERM; echo up; while :; do sleep 0.01; done`;
  const running = tasks.run(script, { task_id: taskId, signal: cancel.signal });
  await tasks.printed(taskId, 'up');
  cancel.abort();
  await tasks.printed(taskId, 'asked');
  expect(await whileTimePasses(clock, running)).toMatchObject({ state: 'cancelled', signal: 'SIGKILL' });
  expect(await tasks.text(taskId, 'output/result.md')).toBe('up\nasked\n');
});

it('ends a stopped process too', async () => {
  await using tasks = await TaskFixture.make({ killGraceMs: 30_000 });
  const taskId = randomUUID();
  const cancel = new AbortController();
  const running = tasks.run('echo up; kill -STOP $$', { task_id: taskId, signal: cancel.signal });
  await tasks.printed(taskId, 'up');
  cancel.abort();
  expect(await running).toMatchObject({ state: 'cancelled', signal: 'SIGTERM' });
});

it('runs nothing of a task that was cancelled before it began', async () => {
  await using tasks = await TaskFixture.make();
  expect(await tasks.run('true', { signal: AbortSignal.abort() })).toMatchObject({ state: 'cancelled' });
  expect(await readdir(tasks.workspaceRoot)).toEqual([]);
});

it('ends a task that takes too long', async () => {
  const clock = new FakeClock();
  await using tasks = await TaskFixture.make({ clock });
  const taskId = randomUUID();
  const running = tasks.run('echo before; sleep 1000', { task_id: taskId, timeout_seconds: 1 });
  await tasks.printed(taskId, 'before\n');
  await clock.advance(1_000);
  const outcome = await whileTimePasses(clock, running);
  expect(outcome).toMatchObject({ state: 'timed_out', output_bytes: 7, error: { code: 'timed_out' } });
  expect(await processesOf(outcome.task_id)).toEqual([]);
});

it('ends a task that prints too much, and keeps exactly what it may', async () => {
  await using tasks = await TaskFixture.make({ outputBytesMax: 100_000 });
  const outcome = await tasks.run('yes');
  expect(outcome).toMatchObject({ state: 'failed', error: { code: 'output_limit' }, output_bytes: 100_000 });
  expect(await tasks.text(outcome.task_id, 'output/output.log')).toBe('y\n'.repeat(50_000));
});

it('lets a task print exactly as much as it may', async () => {
  await using tasks = await TaskFixture.make({ outputBytesMax: 5 });
  expect(await tasks.run('echo four')).toMatchObject({ state: 'succeeded', output_bytes: 5 });
});

it.each([
  ['holds the pipe open', 'sleep 1000 &'],
  ['has closed the pipe and left the session', `(setsid sleep 1000 >/dev/null 2>&1 &)`],
])('ends a background child that %s, once its task is done', async (_name, background) => {
  await using tasks = await TaskFixture.make();
  const outcome = await tasks.run(`${background}\necho done`);
  expect(outcome).toMatchObject({ state: 'succeeded', exit_code: 0 });
  expect(await tasks.text(outcome.task_id, 'output/output.log')).toBe('done\n');
  expect(await processesOf(outcome.task_id)).toEqual([]);
});

it('keeps what a background child prints just after its task is done', async () => {
  const clock = new FakeClock();
  await using tasks = await TaskFixture.make({ clock });
  const taskId = randomUUID();
  const script = '(while kill -0 $$ 2>/dev/null; do sleep 0.01; done; echo late) & echo done';
  const running = tasks.run(script, { task_id: taskId });
  await tasks.printed(taskId, 'late\n');
  const outcome = await whileTimePasses(clock, running);
  expect(await tasks.text(outcome.task_id, 'output/output.log')).toBe('done\nlate\n');
});

it('leaves the processes of other tasks alone', async () => {
  await using tasks = await TaskFixture.make();
  const other = randomUUID();
  const waiting = tasks.run('echo up; until [ -e go ]; do sleep 0.01; done', { task_id: other });
  await tasks.printed(other, 'up');
  await tasks.run('sleep 1000 & exit 0');
  await tasks.letGo(other);
  expect(await waiting).toMatchObject({ state: 'succeeded' });
});

it.runIf(requires('linux', 'root'))('fails one task on a full disk, and runs the next once there is room', async () => {
  await using disk = await TempDir.make();
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'drawbridge-test', disk.path]);
  try {
    await using tasks = await TaskFixture.make({ workspaceRoot: disk.join('tasks') });
    const full = await tasks.run('yes');
    expect(full).toMatchObject({ state: 'failed', error: { code: 'disk_full' } });
    expect((await tasks.text(full.task_id, 'output/output.log')).length).toBe(full.output_bytes);
    expect(JSON.parse(await tasks.text(full.task_id, 'task.json'))).toMatchObject({ task_id: full.task_id });
    expect(await tasks.run('true')).toMatchObject({ state: 'failed', error: { code: 'disk_full' } });

    await rm(`${tasks.workspaceRoot}/${full.task_id}`, { recursive: true });
    expect(await tasks.run('echo again')).toMatchObject({ state: 'succeeded', output_bytes: 6 });
  } finally {
    execFileSync('umount', [disk.path]);
  }
});

/** Lets a little time pass again and again: processes end when the machine gets to it. */
async function whileTimePasses<T>(clock: FakeClock, work: Promise<T>): Promise<T> {
  let isOver = false;
  const ended = work.finally(() => (isOver = true));
  ended.catch(() => undefined);
  const look = async () => {
    await clock.advance(50);
    return isOver;
  };
  await eventually(look, { what: 'the end of the task' });
  return ended;
}

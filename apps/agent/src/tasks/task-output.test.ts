import { createHash, randomUUID } from 'node:crypto';
import { readFile, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { eventually } from '@drawbridge/testkit';
import { TaskFixture } from './task-fixture.ts';

const LINES = 2_700_000;
const never = new AbortController().signal;

/** Reads a task's file to the end. */
async function readAll(
  tasks: TaskFixture,
  taskId: string,
  { file = 'output', since = 0, follow = true }: { file?: 'output' | 'result'; since?: number; follow?: boolean } = {},
): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(tasks.runner.read({ task_id: taskId, file, since, follow }, never)));
}

it('keeps 20 MB of output complete and in order, for the disk and for a follower', async () => {
  await using tasks = await TaskFixture.make();
  const taskId = randomUUID();
  const running = tasks.run(`seq ${LINES}`, { task_id: taskId });
  const followed = await readAll(tasks, taskId);
  const outcome = await running;

  const expected = Buffer.from(`${Array.from({ length: LINES }, (_, index) => index + 1).join('\n')}\n`);
  expect(outcome).toMatchObject({ state: 'succeeded', output_bytes: expected.byteLength });
  expect(outcome.output_sha256).toBe(createHash('sha256').update(expected).digest('hex'));
  expect(followed.equals(expected)).toBe(true);
  expect((await readFile(`${tasks.workspaceRoot}/${taskId}/output/output.log`)).equals(expected)).toBe(true);
  // The result is bounded; the log has it all.
  expect(outcome.result_bytes).toBe(16 * 1024 * 1024);
});

it('reads from any offset while the task runs, then what comes, then ends with it', async () => {
  await using tasks = await TaskFixture.make();
  const taskId = randomUUID();
  const running = tasks.run('printf 0123456789; until [ -e go ]; do sleep 0.01; done; printf abc', { task_id: taskId });
  await tasks.printed(taskId, '9');
  const chunks = tasks.runner.read({ task_id: taskId, file: 'output', since: 4, follow: true }, never);
  expect(String((await chunks.next()).value)).toBe('456789');
  const atTheEnd = tasks.runner.read({ task_id: taskId, file: 'output', since: 10, follow: true }, never);
  const later = Promise.all([chunks.next(), atTheEnd.next()]);
  await tasks.letGo(taskId);
  expect((await later).map((one) => String(one.value))).toEqual(['abc', 'abc']);
  await running;
  expect(await chunks.next()).toEqual({ done: true, value: undefined });
  expect(await atTheEnd.next()).toEqual({ done: true, value: undefined });
});

it('gives what there is, and no more, to a reader that does not follow', async () => {
  await using tasks = await TaskFixture.make();
  const taskId = randomUUID();
  const stop = new AbortController();
  const running = tasks.run('echo so far; sleep 1000', { task_id: taskId, signal: stop.signal });
  await eventually(() => tasks.runner.find(taskId)?.progress('output').bytes === 7, { what: 'the first line' });
  expect(String(await readAll(tasks, taskId, { follow: false }))).toBe('so far\n');
  stop.abort();
  await running;
});

it('follows a task that still waits for its turn', async () => {
  await using tasks = await TaskFixture.make({ concurrency: 1 });
  const taskId = randomUUID();
  const first = tasks.run('sleep 0.05');
  const second = tasks.run('echo second', { task_id: taskId });
  expect(String(await readAll(tasks, taskId))).toBe('second\n');
  await Promise.all([first, second]);
});

it('reads finished tasks from disk, with a runner that never knew them', async () => {
  await using tasks = await TaskFixture.make();
  const { task_id } = await tasks.run('echo answer; echo more >&2');
  await using restarted = await TaskFixture.make({ workspaceRoot: tasks.workspaceRoot });
  expect(String(await readAll(restarted, task_id, { file: 'result' }))).toBe('answer\n');
  expect(String(await readAll(restarted, task_id, { since: 12 }))).toBe('');
  expect((await readAll(restarted, task_id, { since: 3 })).byteLength).toBe(9);
});

it.each([
  [{ since: 8 }, 'invalid_request', 'since 8 is past the end: there are 7 bytes'],
  [{ task_id: randomUUID() }, 'task_not_found', undefined],
  [{ task_id: '../elsewhere' }, 'invalid_request', 'task id "../elsewhere" is not a UUID'],
])('refuses to read %o', async (wrong, code, message) => {
  await using tasks = await TaskFixture.make();
  const { task_id } = await tasks.run('echo answer');
  const reading = tasks.runner.read({ task_id, file: 'output', since: 0, follow: true, ...wrong }, never).next();
  await expect(reading).rejects.toMatchObject({ code, ...(message !== undefined && { message }) });
});

it('stops between two chunks when it is aborted there', async () => {
  await using tasks = await TaskFixture.make();
  const { task_id } = await tasks.run('head -c 200000 /dev/zero');
  const leave = new AbortController();
  const chunks = tasks.runner.read({ task_id, file: 'output', since: 0, follow: false }, leave.signal);
  expect((await chunks.next()).value).toHaveLength(64 * 1024);
  leave.abort(new Error('left'));
  await expect(chunks.next()).rejects.toThrow('left');
});

it('stops following as soon as it is aborted', async () => {
  await using tasks = await TaskFixture.make();
  const taskId = randomUUID();
  const stop = new AbortController();
  const running = tasks.run('sleep 1000', { task_id: taskId, signal: stop.signal });
  const leave = new AbortController();
  const reading = tasks.runner.read({ task_id: taskId, file: 'output', since: 0, follow: true }, leave.signal).next();
  leave.abort(new Error('left'));
  await expect(reading).rejects.toThrow('left');
  stop.abort();
  await running;
});

it('shows a provider without stream_chunk only when its task has ended, and then whole', async () => {
  const settings = { shell: { kind: 'shell', actions: ['execute_task'] } } as const;
  await using tasks = await TaskFixture.make({ settings });
  const taskId = randomUUID();
  const running = tasks.run('echo early; until [ -e go ]; do sleep 0.01; done; echo late', { task_id: taskId });
  await tasks.printed(taskId, 'early');
  expect(String(await readAll(tasks, taskId, { follow: false }))).toBe('');
  const followed = readAll(tasks, taskId);
  await tasks.letGo(taskId);
  expect(String(await followed)).toBe('early\nlate\n');
  await running;
});

it.each(['output/output.log', 'output'])('follows no link that a task put in place of its %s', async (place) => {
  await using tasks = await TaskFixture.make();
  const secret = `${tasks.workspaceRoot}/secret`;
  await writeFile(secret, 'secret');
  const { task_id } = await tasks.run('echo answer');
  const path = `${tasks.workspaceRoot}/${task_id}/${place}`;
  await rm(path, { recursive: true });
  await symlink(place === 'output' ? tasks.workspaceRoot : secret, path);
  if (place === 'output') await writeFile(`${tasks.workspaceRoot}/output.log`, 'secret');
  await expect(readAll(tasks, task_id)).rejects.toMatchObject({ code: 'forbidden' });
});

it('follows no link that leads to the directory of another task', async () => {
  await using tasks = await TaskFixture.make();
  const { task_id } = await tasks.run('echo answer');
  const alias = randomUUID();
  await symlink(`${tasks.workspaceRoot}/${task_id}`, `${tasks.workspaceRoot}/${alias}`);
  await expect(readAll(tasks, alias)).rejects.toMatchObject({ code: 'forbidden' });
  await unlink(`${tasks.workspaceRoot}/${alias}`);
});

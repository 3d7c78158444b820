import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { ControlError, TaskOutcome } from '@drawbridge/protocol';
import { processesOf, TaskFixture } from './task-fixture.ts';

it('runs a script, keeps both streams, and answers with stdout', async () => {
  await using tasks = await TaskFixture.make();
  const states: string[] = [];
  const outcome = await tasks.run('echo answer; echo trouble >&2', {
    hooks: { onState: (state) => void states.push(state) },
  });

  expect(TaskOutcome.parse(outcome)).toMatchObject({ state: 'succeeded', exit_code: 0, result_bytes: 7 });
  expect(states).toEqual(['starting', 'running']);
  const log = await tasks.text(outcome.task_id, 'output/output.log');
  expect(log.split('\n').toSorted()).toEqual(['', 'answer', 'trouble']);
  expect(outcome.output_sha256).toBe(createHash('sha256').update(log).digest('hex'));
  expect(await tasks.text(outcome.task_id, 'output/result.md')).toBe('answer\n');
});

it('lays a task out directly below the workspace, for its owner alone', async () => {
  await using tasks = await TaskFixture.make();
  const { task_id } = await tasks.run('pwd');
  const root = `${tasks.workspaceRoot}/${task_id}`;
  expect(await tasks.text(task_id, 'output/result.md')).toBe(`${root}/work\n`);
  expect(await readdir(`${root}/output`)).toEqual(['output.log', 'result.md']);
  const modeOf = async (path: string) => ((await stat(`${root}/${path}`)).mode & 0o777).toString(8);
  for (const dir of ['', 'input', 'output', 'work']) expect([dir, await modeOf(dir)]).toEqual([dir, '700']);
  for (const file of ['input/TASK.md', 'output/output.log', 'output/result.md', 'task.json']) {
    expect([file, await modeOf(file)]).toEqual([file, '600']);
  }
});

it('writes the whole life of a task to task.json, without its content', async () => {
  await using tasks = await TaskFixture.make();
  const during: unknown[] = [];
  const taskId = randomUUID();
  const readState = async (): Promise<unknown> => JSON.parse(await tasks.text(taskId, 'task.json'));
  const outcome = await tasks.run('echo secret', {
    task_id: taskId,
    hooks: { onState: async () => void during.push(await readState()) },
  });
  expect(during).toMatchObject([{ state: 'starting' }, { state: 'running', started_at: outcome.started_at }]);
  expect(await readState()).toMatchObject({ state: 'succeeded', outcome, ended_at: outcome.ended_at });
  expect(await tasks.text(taskId, 'task.json')).not.toContain('secret');
});

it.each([
  ['exits with 3', 'exit 3', { exit_code: 3, error: { code: 'process_failed', message: 'the process exited with 3' } }],
  ['is killed', 'kill -SEGV $$', { signal: 'SIGSEGV', error: { code: 'process_failed' } }],
  ['names no interpreter', '#!/no/such/interpreter', { error: { code: 'spawn_failed' } }],
])('fails when the process %s', async (_name, script, expected) => {
  await using tasks = await TaskFixture.make();
  expect(await tasks.run(script)).toMatchObject({ state: 'failed', ...expected });
});

it.each([
  ['nobody', 'Unsupported provider: nobody'],
  ['gone', 'provider gone is unavailable: /no/such/program is missing or not executable'],
])('refuses the provider %s at once', async (provider, message) => {
  await using tasks = await TaskFixture.make({ settings: { gone: { kind: 'command', binary: '/no/such/program' } } });
  const outcome = await tasks.run('x', { provider });
  expect(outcome).toMatchObject({ state: 'failed', error: { code: 'provider_unavailable', message } });
});

it('refuses a task for a provider that may not execute tasks', async () => {
  await using tasks = await TaskFixture.make({ settings: { shell: { kind: 'shell', actions: ['update_config'] } } });
  expect(await tasks.run('true')).toMatchObject({
    error: { code: 'operation_not_allowed', message: 'Action execute_task blocked for provider shell' },
  });
});

it('never uses a directory again, and leaves what is in it alone', async () => {
  await using tasks = await TaskFixture.make();
  const taskId = randomUUID();
  await mkdir(`${tasks.workspaceRoot}/${taskId}`);
  await writeFile(`${tasks.workspaceRoot}/${taskId}/task.json`, 'mine');
  expect(await tasks.run('true', { task_id: taskId })).toMatchObject({ error: { code: 'conflict' } });
  expect(await tasks.text(taskId, 'task.json')).toBe('mine');
});

it('refuses a task that is running already, and lets that one finish', async () => {
  await using tasks = await TaskFixture.make();
  const taskId = randomUUID();
  const first = tasks.run('echo up; until [ -e go ]; do sleep 0.01; done', { task_id: taskId });
  await tasks.printed(taskId, 'up');
  expect(await tasks.run('true', { task_id: taskId })).toMatchObject({ error: { code: 'conflict' } });
  await tasks.letGo(taskId);
  expect(await first).toMatchObject({ state: 'succeeded' });
});

it('ends the process when the task cannot be announced as running', async () => {
  await using tasks = await TaskFixture.make();
  const onState = (state: string) => {
    if (state === 'running') throw new ControlError('journal_unavailable', 'no journal');
  };
  const outcome = await tasks.run('sleep 1000', { hooks: { onState } });
  expect(outcome).toMatchObject({ state: 'failed', error: { code: 'journal_unavailable' } });
  expect(await processesOf(outcome.task_id)).toEqual([]);
});

it('shows a task nothing of the agent but a few variables', async () => {
  const env = {
    ...process.env,
    PATH: '/usr/bin:/bin',
    HOME: '/h',
    LC_TIME: 'C',
    DRAWBRIDGE_TOKEN: 'x',
    SECRET: 's',
    KEY: 'k',
  };
  const settings = { shell: { kind: 'shell', env: ['KEY', 'DRAWBRIDGE_TOKEN'] } } as const;
  await using tasks = await TaskFixture.make({ env, settings });
  const { task_id } = await tasks.run('#!/usr/bin/env -S cat /proc/self/environ');
  const names = (await tasks.text(task_id, 'output/result.md')).split('\0').map((one) => one.split('=')[0]);
  expect(names).toEqual(expect.arrayContaining(['PATH', 'HOME', 'LC_TIME', 'KEY', 'DRAWBRIDGE_TASK_ID']));
  for (const secret of ['SECRET', 'DRAWBRIDGE_TOKEN', 'NODE_ENV', 'VITEST']) expect(names).not.toContain(secret);
});

it('gives a task nothing to read, and pipes that a script can open by name', async () => {
  await using tasks = await TaskFixture.make();
  const { task_id } = await tasks.run('cat; echo one >/dev/stdout; echo two >/dev/stderr');
  expect(await tasks.text(task_id, 'output/output.log')).toBe('one\ntwo\n');
  expect(await readFile(`${tasks.workspaceRoot}/${task_id}/output/result.md`, 'utf8')).toBe('one\n');
});

import { randomUUID } from 'node:crypto';
import { getEventListeners } from 'node:events';
import { readdir } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { TaskFixture } from './task-fixture.ts';

const WAIT_FOR_GO = 'echo up; until [ -e go ]; do sleep 0.01; done';

/** One place, held by a task that ends when `go` is called. */
async function busyFixture() {
  const tasks = await TaskFixture.make({ concurrency: 1 });
  const holderId = randomUUID();
  const holder = tasks.run(WAIT_FOR_GO, { task_id: holderId });
  await tasks.printed(holderId, 'up');
  return {
    tasks,
    holder,
    go: () => tasks.letGo(holderId),
    [Symbol.asyncDispose]: () => tasks[Symbol.asyncDispose](),
  };
}

it('runs no more tasks at a time than it may, in order of arrival', async () => {
  await using busy = await busyFixture();
  const order: string[] = [];
  const started = (name: string) => ({ hooks: { onState: () => void order.push(name) } });
  const waiting = ['first', 'second', 'third'].map((name) => busy.tasks.run('true', started(name)));
  expect(busy.tasks.runner.running).toBe(1);
  await busy.go();
  await Promise.all(waiting);
  expect([...new Set(order)]).toEqual(['first', 'second', 'third']);
  expect(order).toEqual(['first', 'first', 'second', 'second', 'third', 'third']);
  expect(busy.tasks.runner.running).toBe(0);
});

it('cancels a task that waits, and gives its turn to the next', async () => {
  await using busy = await busyFixture();
  const cancel = new AbortController();
  const taskId = randomUUID();
  const cancelled = busy.tasks.run('true', { task_id: taskId, signal: cancel.signal });
  const next = busy.tasks.run('true');
  expect(busy.tasks.runner.find(taskId)).toBeDefined();
  cancel.abort();
  expect(await cancelled).toMatchObject({ state: 'cancelled', output_bytes: 0 });
  expect(busy.tasks.runner.find(taskId)).toBeUndefined();
  expect(await readdir(busy.tasks.workspaceRoot)).not.toContain(taskId);
  await busy.go();
  expect(await next).toMatchObject({ state: 'succeeded' });
});

it('drains: what runs finishes, what waits and what comes is refused', async () => {
  await using busy = await busyFixture();
  const waiting = busy.tasks.run('true');
  const drained = busy.tasks.runner.drain(new AbortController().signal);
  const refused = { state: 'failed', error: { code: 'agent_busy' } };
  expect(await waiting).toMatchObject(refused);
  expect(await busy.tasks.run('true')).toMatchObject(refused);
  await busy.go();
  expect(await busy.holder).toMatchObject({ state: 'succeeded' });
  await drained;
});

it('cancels what still runs at the deadline of a drain', async () => {
  await using busy = await busyFixture();
  const deadline = new AbortController();
  const drained = busy.tasks.runner.drain(deadline.signal);
  deadline.abort();
  await drained;
  expect(await busy.holder).toMatchObject({ state: 'cancelled', error: { message: 'the agent stopped' } });
});

it('lets go of the signal of a task that has ended', async () => {
  await using tasks = await TaskFixture.make();
  const { signal } = new AbortController();
  await tasks.run('true', { signal });
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});

it('stops at once, twice if need be', async () => {
  await using busy = await busyFixture();
  await busy.tasks.runner[Symbol.asyncDispose]();
  await busy.tasks.runner[Symbol.asyncDispose]();
  expect(await busy.holder).toMatchObject({ state: 'cancelled' });
});

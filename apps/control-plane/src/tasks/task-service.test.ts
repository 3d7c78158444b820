import { randomUUID } from 'node:crypto';
import { TaskOutcome } from '@drawbridge/protocol';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ADMIN, ControlPlaneFixture } from '../control-plane-fixture.ts';
import type { RecordedLink } from '../control-plane-fixture.ts';
import type { TaskRow } from '../store/tasks-repository.ts';
import { isEnded } from './task-service.ts';
import type { NewTask } from './task-service.ts';

let control: ControlPlaneFixture;
let agentId: string;
beforeEach(async () => {
  control = await ControlPlaneFixture.make();
  agentId = await control.addAgent();
});
afterEach(() => control[Symbol.asyncDispose]());

function create(more: Partial<NewTask> = {}): Promise<TaskRow> {
  const task: NewTask = {
    agentId,
    provider: 'shell',
    instructions: 'echo grüezi',
    mode: undefined,
    model: undefined,
    timeoutSeconds: 60,
    queueIfOffline: true,
    ttlSeconds: 3_600,
    idempotencyKey: undefined,
    ...more,
  };
  return control.parts.tasks.create(task, ADMIN);
}

/** A task that its agent has been sent. */
async function delivered(): Promise<{ task: TaskRow; link: RecordedLink }> {
  const task = await create();
  const link = await control.connect(agentId);
  await control.delivered(link, 1);
  return { task, link };
}

function event(link: RecordedLink, seq: number, data: Record<string, unknown>): Promise<void> {
  return control.parts.inbox.event(link, { seq, kind: 'task.state', data });
}

function outcome(task: TaskRow, more: Partial<TaskOutcome> = {}): TaskOutcome {
  return {
    task_id: task.id,
    state: 'succeeded',
    exit_code: 0,
    ended_at: '2026-01-07T10:00:09.000Z',
    started_at: '2026-01-07T10:00:01.000Z',
    output_bytes: 7,
    output_sha256: 'a'.repeat(64),
    result_bytes: 7,
    ...more,
  };
}

it('stores sizes and hashes of the instructions, and not a word of them', async () => {
  const task = await create();
  expect(task).toMatchObject({
    state: 'queued',
    instructions_bytes: 12,
    instructions_sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
  });
  expect(JSON.stringify(await control.parts.tasks.get(task.id))).not.toContain('grüezi');
});

it('follows its command and what its agent reports, to the end', async () => {
  const { task, link } = await delivered();
  const states = [task.state];
  const look = async () => states.push((await control.parts.tasks.get(task.id)).state);
  await control.parts.inbox.started(link, task.command_id);
  await look();
  await event(link, 1, { task_id: task.id, state: 'running', at: '2026-01-07T10:00:01.000Z' });
  await look();
  await control.parts.inbox.ended(link, task.command_id, { status: 'success', data: outcome(task) });
  await look();
  expect(states).toEqual(['queued', 'starting', 'running', 'succeeded']);
  expect(await control.parts.tasks.get(task.id)).toMatchObject({
    exit_code: 0,
    output_bytes: 7,
    output_sha256: 'a'.repeat(64),
    started_at: '2026-01-07T10:00:01.000Z',
    ended_at: '2026-01-07T10:00:09.000Z',
  });
});

it.each([
  ['failed', { status: 'error', error: { code: 'provider_unavailable', message: 'no shell' } }],
  ['cancelled', { status: 'cancelled' }],
  ['indeterminate', { status: 'indeterminate', error: { code: 'indeterminate', message: 'who knows' } }],
  ['indeterminate', { status: 'success', data: { not: 'an outcome' } }],
] as const)('is %s when its command ends with %j', async (state, end) => {
  const { task, link } = await delivered();
  await control.parts.inbox.ended(link, task.command_id, end);
  const ended = await control.parts.tasks.get(task.id);
  expect(ended).toMatchObject({ state, ended_at: expect.any(String) });
  expect(isEnded(ended)).toBe(true);
});

it.each(['failed', 'cancelled', 'timed_out'] as const)('takes %s from the outcome its agent tells', async (state) => {
  const { task, link } = await delivered();
  const data = outcome(task, { state, exit_code: 3 });
  await control.parts.inbox.ended(link, task.command_id, { status: 'success', data });
  expect(await control.parts.tasks.get(task.id)).toMatchObject({ state, exit_code: 3 });
});

it('stores what any agent may say: times of any precision, the exit codes of any system, a character 0', async () => {
  const { task, link } = await delivered();
  await control.parts.inbox.started(link, task.command_id);
  await event(link, 1, { task_id: task.id, state: 'running', at: '2026-01-07T10:00:01.123456789Z' });
  const running = await control.parts.tasks.get(task.id);
  expect(running).toMatchObject({ state: 'running', started_at: '2026-01-07T10:00:01.123Z' });
  const data = outcome(task, {
    state: 'failed',
    exit_code: 0xc0000005,
    ended_at: '2026-01-07T10:00:09Z',
    error: { code: 'process_failed', message: 'it said \0' },
  });
  await control.parts.inbox.ended(link, task.command_id, { status: 'success', data });
  expect(await control.parts.tasks.get(task.id)).toMatchObject({
    state: 'failed',
    exit_code: 0xc0000005,
    ended_at: '2026-01-07T10:00:09.000Z',
    error_message: expect.stringMatching(/^it said [\0\uFFFD]$/),
  });
});

it('does not take the outcome of another task for its own', async () => {
  const { task, link } = await delivered();
  const data = { ...outcome(task), task_id: randomUUID() };
  await control.parts.inbox.ended(link, task.command_id, { status: 'success', data });
  expect(await control.parts.tasks.get(task.id)).toMatchObject({ state: 'indeterminate', error_code: 'agent_error' });
});

it('expires with its command', async () => {
  const task = await create({ ttlSeconds: 1 });
  await control.clock.advance(1_000);
  await control.parts.reaper.sweep();
  expect(await control.parts.tasks.get(task.id)).toMatchObject({ state: 'expired', started_at: null });
});

it('ignores what an agent reports of a task of another', async () => {
  const { task } = await delivered();
  const stranger = await control.connect(await control.addAgent());
  await event(stranger, 1, { task_id: task.id, state: 'running', at: '2026-01-07T10:00:01.000Z' });
  expect(await control.parts.tasks.get(task.id)).toMatchObject({ state: 'queued' });
});

it('ignores reports that are none, come twice, or come after the end', async () => {
  const { task, link } = await delivered();
  await event(link, 1, { task_id: task.id, state: 'exploded', at: 'now' });
  await event(link, 2, { task_id: task.id, state: 'running', at: '2026-01-07T10:00:01.000Z' });
  await event(link, 2, { task_id: task.id, state: 'waiting', at: '2026-01-07T10:00:02.000Z' });
  expect(await control.parts.tasks.get(task.id)).toMatchObject({ state: 'running' });
  await control.parts.inbox.ended(link, task.command_id, { status: 'cancelled' });
  await event(link, 3, { task_id: task.id, state: 'running', at: '2026-01-07T10:00:03.000Z' });
  expect(await control.parts.tasks.get(task.id)).toMatchObject({ state: 'cancelled' });
  expect(link.sent.filter(({ type }) => type === 'ack')).toHaveLength(5);
});

it('makes one task of requests with the same key, also when they come at the same time', async () => {
  const [first, second] = await Promise.all([create({ idempotencyKey: 'k' }), create({ idempotencyKey: 'k' })]);
  const third = await create({ idempotencyKey: 'k' });
  expect([second.id, third.id]).toEqual([first.id, first.id]);
  expect(await control.parts.db.selectFrom('commands').selectAll().execute()).toHaveLength(1);
});

it('refuses a key that was used for another request', async () => {
  await create({ idempotencyKey: 'k' });
  const other = create({ idempotencyKey: 'k', instructions: 'rm -rf /' });
  await expect(other).rejects.toMatchObject({ code: 'idempotency_mismatch' });
});

it('stores neither task nor command for an agent that is away', async () => {
  await expect(create({ queueIfOffline: false })).rejects.toMatchObject({ code: 'agent_offline' });
  expect(
    await control.parts.tasks.list(
      { limit: 50, cursor: undefined },
      { agentId: undefined, state: undefined, labels: [] },
    ),
  ).toEqual([]);
});

it('cancels a task that waits at once', async () => {
  const task = await create();
  expect(await control.parts.tasks.cancel(task.id)).toMatchObject({ state: 'cancelled' });
  await expect(control.parts.tasks.cancel('none')).rejects.toMatchObject({ code: 'task_not_found' });
});

it('wakes up who waits for a task once its change is stored', async () => {
  const task = await create();
  const waited = control.parts.tasks.waitFor(task.id, isEnded, new AbortController().signal);
  await control.parts.tasks.cancel(task.id);
  expect(await waited).toMatchObject({ state: 'cancelled' });
});

it('lists the newest first, in pages, of one agent if asked', async () => {
  const tasks = [await create(), await create(), await create()];
  const newest = tasks.map(({ id }) => id).toReversed();
  const idsOf = (rows: TaskRow[]) => rows.map(({ id }) => id);
  const page = await control.parts.tasks.list(
    { limit: 2, cursor: undefined },
    { agentId: agentId, state: undefined, labels: [] },
  );
  expect(idsOf(page)).toEqual(newest.slice(0, 2));
  expect(
    idsOf(
      await control.parts.tasks.list(
        { limit: 2, cursor: page[1]?.id },
        { agentId: agentId, state: undefined, labels: [] },
      ),
    ),
  ).toEqual(newest.slice(2));
  expect(
    await control.parts.tasks.list(
      { limit: 2, cursor: undefined },
      { agentId: 'nobody', state: undefined, labels: [] },
    ),
  ).toEqual([]);
});

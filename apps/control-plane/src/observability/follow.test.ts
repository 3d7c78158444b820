import { randomUUID } from 'node:crypto';
import { eventually } from '@drawbridge/testkit';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ADMIN, ControlPlaneFixture, taskStart } from '../control-plane-fixture.ts';
import { CommandLog } from './command-log.ts';
import { CommandTraces } from './command-traces.ts';
import { seriesOf } from './observability-fixture.ts';
import { inRequest } from './request-context.ts';
import { TaskLog } from './task-log.ts';

const TRACEPARENT = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;

let control: ControlPlaneFixture;
let agentId: string;
beforeEach(async () => {
  control = await ControlPlaneFixture.make();
  const { commands, tasks, metrics, log } = control.parts;
  commands.follow(new CommandLog(log, new CommandTraces(undefined)));
  commands.follow(metrics.commands);
  tasks.follow(metrics.tasks);
  tasks.follow(new TaskLog(log));
  agentId = await control.addAgent();
});
afterEach(() => control[Symbol.asyncDispose]());

it('counts a command by its operation and its end, and how long it took from creation and from delivery', async () => {
  const { id } = await control.create(agentId);
  await control.clock.advance(2_000);
  const link = await control.connect(agentId);
  await control.delivered(link, 1);
  await control.clock.advance(3_000);
  await control.parts.commands.ended(link, id, { status: 'success', data: null });
  const series = await seriesOf(control.parts.metrics.registry);
  expect(series.get('drawbridge_commands_created_total{operation="agent.ping"}')).toBe(1);
  const ended = [...series].filter(([name]) => name.startsWith('drawbridge_commands_ended_total'));
  expect(ended).toEqual([['drawbridge_commands_ended_total{operation="agent.ping",state="succeeded"}', 1]]);
  expect(series.get('drawbridge_command_duration_seconds_sum{operation="agent.ping"}')).toBeCloseTo(5, 0);
  expect(series.get('drawbridge_command_execution_seconds_sum{operation="agent.ping"}')).toBeCloseTo(3, 0);
});

it('counts a command that failed once, however often its outcome comes', async () => {
  const { id } = await control.create(agentId);
  const link = await control.connect(agentId);
  await control.delivered(link, 1);
  const failed = { status: 'error', error: { code: 'internal', message: 'no' } } as const;
  for (let time = 0; time < 3; time += 1) await control.parts.commands.ended(link, id, failed);
  const series = await seriesOf(control.parts.metrics.registry);
  expect(series.get('drawbridge_commands_ended_total{operation="agent.ping",state="failed"}')).toBe(1);
});

it('has no series for an operation that is not ours', async () => {
  const { metrics } = control.parts;
  const row = await control.create(agentId);
  metrics.commands.stored({ ...row, operation: 'made.up' });
  const series = await seriesOf(metrics.registry);
  expect(series.get('drawbridge_commands_created_total{operation="other"}')).toBe(1);
});

it('writes a line for a task and one for each step of its command, joined by ids and by the request', async () => {
  const { tasks, lines } = control.parts;
  const wanted = { agentId, provider: 'shell', instructions: 'secret words', mode: undefined, model: undefined };
  const limits = { timeoutSeconds: 60, queueIfOffline: true, ttlSeconds: 60, idempotencyKey: undefined };
  const task = await inRequest({ requestId: 'r1', traceparent: TRACEPARENT }, () =>
    tasks.create({ ...wanted, ...limits }, ADMIN),
  );
  await tasks.cancel(task.id);
  await eventually(() => lines.some(({ msg }) => msg === 'task ended'), { what: 'the end of the task' });
  const ids = { commandId: task.command_id, agentId };
  expect(lines).toContainEqual(
    expect.objectContaining({ ...ids, taskId: task.id, requestId: 'r1', msg: 'task queued' }),
  );
  expect(lines).toContainEqual(
    expect.objectContaining({ ...ids, requestId: 'r1', traceId: 'a'.repeat(32), msg: 'command stored' }),
  );
  expect(lines).toContainEqual(expect.objectContaining({ ...ids, taskId: task.id, state: 'cancelled' }));
  expect(JSON.stringify(lines)).not.toContain('secret words');
});

it('carries the trace of the caller to the agent until the command has ended, and no longer', async () => {
  const traces = new CommandTraces(undefined);
  control.parts.commands.follow(traces);
  const row = await inRequest({ requestId: 'r1', traceparent: TRACEPARENT }, () =>
    control.create(agentId, taskStart()),
  );
  expect(traces.traceparentOf(row.id)).toBe(TRACEPARENT);
  expect(traces.traceparentOf(randomUUID())).toBeUndefined();
  await control.parts.commands.end(row.id, ['queued'], 'expired');
  expect(traces.traceparentOf(row.id)).toBeUndefined();
});

it('remembers the traces of ten thousand commands: the oldest gives way', async () => {
  const traces = new CommandTraces(undefined);
  const row = await control.create(agentId);
  inRequest({ requestId: 'r1', traceparent: TRACEPARENT }, () => {
    for (let count = 0; count <= 10_000; count += 1) traces.stored({ ...row, id: String(count) });
  });
  expect([traces.traceparentOf('0'), traces.traceparentOf('1')]).toEqual([undefined, TRACEPARENT]);
});

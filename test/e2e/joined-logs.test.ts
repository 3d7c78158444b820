import { endOfTask, eventually, runTask, TestAgent, TestControlPlane } from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { TraceCollector } from '../../apps/control-plane/src/observability/open-telemetry-fixture.ts';

const DEBUG = { DRAWBRIDGE_LOGGING_LEVEL: 'debug' };
const SECRET = 'words-of-a-task-that-nobody-may-log';
const Task = z.object({ id: z.string() });

/** The same task is asked for, run, read and traced; what both sides wrote about it is then looked for by ids alone. */
it('joins the lines of both sides, and the spans, of one task', async () => {
  await using collector = await TraceCollector.start();
  const tracing = { DRAWBRIDGE_TRACING_URL: collector.url, DRAWBRIDGE_TRACING_SAMPLE: '0' };
  await using controlPlane = await TestControlPlane.start({ env: { ...DEBUG, ...tracing } });
  await using agent = await TestAgent.start({ controlPlane, env: DEBUG });
  const traceId = 'a1b2c3d4'.repeat(4);
  const headers = { traceparent: `00-${traceId}-0123456789abcdef-01`, 'x-request-id': 'r-1' };
  const wanted = { agent_id: agent.agentId, provider: 'shell', instructions: `echo ${SECRET}` };
  const { id: taskId } = Task.parse((await controlPlane.api('POST', '/api/v1/tasks', wanted, headers)).body);
  await endOfTask(controlPlane, taskId);
  await controlPlane.api('GET', `/api/v1/tasks/${taskId}/output`);

  const queued = await controlPlane.waitForLog((line) => line['msg'] === 'task queued' && line['taskId'] === taskId);
  expect(queued).toMatchObject({ requestId: 'r-1', agentId: agent.agentId });
  const { commandId } = queued;
  await controlPlane.waitForLog((line) => line['msg'] === 'task ended' && line['commandId'] === commandId);
  const here = controlPlane.logs.filter((line) => line['commandId'] === commandId);
  expect(here.filter(({ traceId: id }) => id === traceId).map(({ msg, state }) => state ?? msg)).toEqual([
    'command stored',
    'delivered',
    'running',
    'succeeded',
  ]);
  await agent.waitForLog((line) => line['msg'] === 'command ended' && line['commandId'] === commandId);
  const there = agent.logs.filter((line) => line['commandId'] === commandId);
  expect(there).toMatchObject([
    { msg: 'command started', operation: 'task.start', taskId, traceId },
    { msg: 'command ended', status: 'success', taskId, traceId },
  ]);

  const opened = await controlPlane.waitForLog(({ msg }) => msg === 'channel open');
  const { tunnelId, channelId } = opened;
  expect(opened).toMatchObject({ agentId: agent.agentId, actor: expect.stringMatching(/^\w+:.+/) });
  const read = await agent.waitForLog(({ msg }) => msg === 'output read');
  expect(read).toMatchObject({ taskId, tunnelId, channelId });
  const linked = controlPlane.logs.find(({ msg }) => msg === 'agent connected');
  const { sessionId, epoch } = linked ?? {};
  expect(agent.logs).toContainEqual(expect.objectContaining({ msg: 'Relay channel established', sessionId, epoch }));

  const spans = await eventually(() => collector.spans.filter((span) => span.traceId === traceId), {
    what: 'five spans of the task',
    until: (all) => all.length === 5,
  });
  const byName = new Map(spans.map((span) => [span.name, span]));
  const parentOf = (name: string) => spans.find(({ spanId }) => spanId === byName.get(name)?.parentSpanId)?.name;
  expect(byName.get('POST /api/v1/tasks')?.parentSpanId).toBe('0123456789abcdef');
  expect(parentOf('command task.start')).toBe('POST /api/v1/tasks');
  for (const stage of ['command queued', 'command delivery', 'command execution']) {
    expect(parentOf(stage)).toBe('command task.start');
  }
  const everything = JSON.stringify([controlPlane.logs, agent.logs, collector.spans]);
  expect(everything).not.toContain(SECRET);
  expect(everything).not.toContain(controlPlane.token);
});

it('shows in its numbers what happened to an agent and its task', async () => {
  await using controlPlane = await TestControlPlane.start({ env: { DRAWBRIDGE_AGENTS_HEARTBEAT_INTERVAL: '1' } });
  await using agent = await TestAgent.start({ controlPlane });
  await runTask(controlPlane, { agent: agent.agentId, instructions: 'exit 3' });
  await agent.kill9();
  await agent.launch();
  await agent.waitUntilUp();
  await controlPlane.api('GET', '/api/v1/agents', undefined, { authorization: 'Bearer dbt_made_up' });
  const wanted = [
    'drawbridge_agents_connected 1',
    'drawbridge_agent_connections_total{kind="first"} 1',
    'drawbridge_agent_connections_total{kind="reconnect"} 1',
    'drawbridge_agent_disconnections_total{reason="lost"} 1',
    'drawbridge_commands_ended_total{operation="task.start",state="succeeded"} 1',
    'drawbridge_tasks_ended_total{state="failed"} 1',
    'drawbridge_commands_unfinished{state="queued"} 0',
    'drawbridge_refusals_total{door="api",code="unauthenticated"} 1',
    'drawbridge_http_requests_total{method="POST",route="/api/v1/tasks",status="2xx"} 1',
    'drawbridge_ws_messages_total{socket="link",direction="in",type="command_response"} 1',
    'drawbridge_agent_listeners 0',
  ];
  await eventually(
    async () => {
      const lines = String((await controlPlane.api('GET', '/metrics')).body).split('\n');
      expect(lines).toEqual(expect.arrayContaining(wanted));
      expect(lines).toContainEqual(expect.stringMatching(/^drawbridge_heartbeat_round_trip_seconds_count [1-9]/));
      return true;
    },
    { what: 'the numbers' },
  );
});

it('serves numbers on a listener of their own, and then nowhere else', async () => {
  const env = { DRAWBRIDGE_METRICS_LISTEN_PORT: '0', DRAWBRIDGE_METRICS_TOKEN: 'for-the-scraper' };
  await using controlPlane = await TestControlPlane.start({ env });
  expect(await controlPlane.api('GET', '/metrics')).toMatchObject({ status: 404 });
  const { port } = await controlPlane.waitForLog(({ msg }) => msg === 'metrics are served');
  const url = `http://127.0.0.1:${String(port)}/metrics`;
  expect((await fetch(url)).status).toBe(401);
  const answer = await fetch(url, { headers: { authorization: 'Bearer for-the-scraper' } });
  expect(await answer.text()).toMatch(/^drawbridge_agents_connected 0$/m);
});

it('goes on when its trace collector is not there', async () => {
  const env = { DRAWBRIDGE_TRACING_URL: 'http://127.0.0.1:9/v1/traces', DRAWBRIDGE_TRACING_SAMPLE: '1' };
  await using controlPlane = await TestControlPlane.start({ env });
  for (let request = 0; request < 20; request += 1) {
    expect(await controlPlane.api('GET', '/api/v1/agents')).toMatchObject({ status: 200 });
  }
  const line = await controlPlane.waitForLog(({ msg }) => String(msg).startsWith('spans lost'));
  expect(line).toMatchObject({ level: 'warn' });
  expect(await controlPlane.stop()).toMatchObject({ code: 0 });
});

import { randomUUID } from 'node:crypto';
import type { AgentInfo, SessionInfo } from '@drawbridge/protocol';
import { OPERATIONS } from '@drawbridge/protocol';
import { TaskFixture, taskParams } from '../tasks/task-fixture.ts';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeHandlers } from './handlers.ts';
import type { HandlerParts } from './handlers.ts';

const NOW = '2026-01-07T10:00:00.000Z';
const INFO: AgentInfo = {
  version: '1',
  os: 'linux',
  arch: 'x64',
  hostname: 'build-1',
  node: '24',
  pid: 1,
  started_at: NOW,
  capabilities: [],
  operations: [],
  providers: [],
  listeners: 0,
};

const SESSION: SessionInfo = {
  session_id: '4b9f2c1e-0d37-4c58-9a55-0e1c3a3f7b10',
  mode: 'pty',
  command: '/bin/sh',
  cwd: '/',
  state: 'running',
  pid: 1,
  cols: 80,
  rows: 24,
  created_at: NOW,
  created_by: 'user:1',
  created_by_name: 'ann',
  ttl_seconds: 60,
  output_bytes: 0,
  output_since: 0,
  viewers: 0,
};

let tasks: TaskFixture;
/** What was asked of the tunnels, and with which signal. */
let tunnels: unknown[][];
let sessions: unknown[][];
let events: unknown[][];
let handlers: ReturnType<typeof makeHandlers>;
beforeEach(async () => {
  tasks = await TaskFixture.make();
  tunnels = [];
  sessions = [];
  events = [];
  const parts: HandlerParts = {
    runner: tasks.runner,
    tunnels: {
      open: async (...asked) => void tunnels.push(['open', ...asked]),
      close: (...asked) => void tunnels.push(['close', ...asked]),
    },
    sessions: {
      create: async (...asked) => (sessions.push(['create', ...asked]), SESSION),
      end: async (...asked) => (sessions.push(['end', ...asked]), SESSION),
      get: async (...asked) => (sessions.push(['get', ...asked]), SESSION),
      list: async (...asked) => (sessions.push(['list', ...asked]), { items: [SESSION] }),
    },
    events: { append: (...event) => void events.push(event) },
    nowMs: () => Date.parse(NOW),
    info: async () => INFO,
    settings: () => ({ log: { level: 'info' } }),
  };
  handlers = makeHandlers(parts);
});
afterEach(() => tasks[Symbol.asyncDispose]());

const never = new AbortController().signal;

it.each([
  ['session.create', 'create', { session_id: SESSION.session_id, created_by: 'user:1', created_by_name: 'ann' }],
  ['session.end', 'end', { session_id: SESSION.session_id }],
  ['session.get', 'get', { session_id: SESSION.session_id }],
  ['session.list', 'list', {}],
] as const)('has %s carried out where sessions are, with its signal', async (name, asked, params) => {
  const result = await handlers[name](params, never);
  expect(OPERATIONS[name].result.safeParse(result).success).toBe(true);
  const about = asked === 'list' ? [] : [asked === 'create' ? expect.objectContaining(params) : SESSION.session_id];
  expect(sessions).toEqual([[asked, ...about, never]]);
});

it.each([
  ['agent.ping', {}, { time: NOW }],
  ['agent.ping', { echo: 'hello' }, { time: NOW, echo: 'hello' }],
  ['agent.info', {}, INFO],
  ['config.get', {}, { log: { level: 'info' } }],
] as const)('answers %s %j, in the shape of its operation', async (name, params, answer) => {
  const result = await handlers[name](params, never);
  expect(result).toEqual(answer);
  expect(OPERATIONS[name].result.safeParse(result).success).toBe(true);
});

it('opens the tunnel it is told to, with the token, as long as the command is not cancelled', async () => {
  const tunnelId = randomUUID();
  const { signal } = new AbortController();
  const params = { tunnel_id: tunnelId, kind: 'system', token: 'a.b.c' };
  expect(await handlers['tunnel.open'](params, signal)).toEqual({ tunnel_id: tunnelId });
  expect(tunnels).toEqual([['open', { tunnelId, kind: 'system', token: 'a.b.c' }, signal]]);
  expect(tunnels[0]?.[2]).toBe(signal);
});

it('closes the tunnel it is told to, with the reason', async () => {
  const tunnelId = randomUUID();
  const closed = await handlers['tunnel.close']({ tunnel_id: tunnelId, reason: 'enough' }, never);
  expect(closed).toEqual({ tunnel_id: tunnelId });
  expect(tunnels).toEqual([['close', tunnelId, 'enough']]);
});

it.each([
  ['agent.ping', { echo: 7 }],
  ['agent.info', { verbose: true }],
  ['tunnel.open', { tunnel_id: 'not-a-uuid', kind: 'system', token: 'a.b.c' }],
  ['tunnel.close', { tunnel_id: randomUUID() }],
  ['task.start', { ...taskParams('true'), instructions: '' }],
] as const)('does nothing of %s with parameters that are none of it', async (name, params) => {
  const run = async () => handlers[name](params, never);
  await expect(run()).rejects.toMatchObject({ name: 'ZodError' });
  expect([tunnels, events, tasks.runner.running]).toEqual([[], [], 0]);
});

it('runs a task to its outcome, and tells that it runs, once, after it has started', async () => {
  const params = taskParams('echo answer; exit 3');
  const outcome = await handlers['task.start'](params, never);
  expect(outcome).toMatchObject({ task_id: params.task_id, state: 'failed', exit_code: 3, output_bytes: 7 });
  // `starting` was told by the command itself.
  expect(events).toEqual([['task.state', { task_id: params.task_id, state: 'running', at: NOW }]]);
});

it('gives the outcome of a task that was cancelled, rather than none', async () => {
  const stop = new AbortController();
  const params = taskParams('echo started; sleep 1000');
  const running = handlers['task.start'](params, stop.signal);
  await tasks.printed(params.task_id, 'started');
  stop.abort(new Error('somebody does not want it any more'));
  expect(await running).toMatchObject({ task_id: params.task_id, state: 'cancelled' });
});

it('does not know what came of a task whose directory was there before, and does not run it again', async () => {
  const params = taskParams('echo once >> ../../ran');
  await handlers['task.start'](params, never);
  events.length = 0;
  await expect(handlers['task.start'](params, never)).rejects.toMatchObject({ code: 'indeterminate' });
  expect(await tasks.text('.', 'ran')).toBe('once\n');
  expect(events).toEqual([]);
});

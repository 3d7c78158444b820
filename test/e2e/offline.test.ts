import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import {
  ChaosProxy,
  type CliResult,
  eventually,
  runCli,
  type RunCliOptions,
  streamCli,
  TempDir,
  TestAgent,
  TestControlPlane,
} from '@drawbridge/testkit';
import { describe, expect, it } from 'vitest';

/** A command that answers at once has answered by then; one that tries again and again has not. */
const AT_ONCE_MS = 10_000;
const UNKNOWN_ID = '01a1fe6b-4ad7-73ce-bd40-b474a2723683';

describe('an agent that is offline', () => {
  it('refuses at once what is not to be queued', async () => {
    await using plane = await TestControlPlane.start();
    await using agent = await TestAgent.start({ controlPlane: plane });
    await goAway(plane, agent);
    const task = { agent_id: agent.name, provider: 'shell', instructions: 'true' };
    expect(await plane.api('POST', '/api/v1/tasks', task)).toMatchObject({
      status: 503,
      body: { code: 'agent_offline' },
    });
    const ping = await plane.api('POST', `/api/v1/agents/${agent.name}/commands`, { operation: 'agent.ping' });
    expect(ping).toMatchObject({ status: 503, body: { code: 'agent_offline' } });
    const cli = await drawbridge(plane, ['run', agent.name, '-p', 'shell', 'true'], { timeoutMs: AT_ONCE_MS });
    expect(cli).toMatchObject({ code: 6, stdout: '' });
    expect(cli.stderr).toMatch(/^error: agent \S+ is offline\n$/);
    expect(await drawbridge(plane, ['tasks', 'ls', '--json'])).toMatchObject({ code: 0, stdout: '' });
  });

  it('runs what was queued when it is back, in order and once, whatever crashes before and afterwards', async () => {
    await using plane = await TestControlPlane.start();
    await using agent = await TestAgent.start({ controlPlane: plane, config: { tasks: { concurrency: 1 } } });
    await using dir = await TempDir.make();
    await goAway(plane, agent);
    const ids: string[] = [];
    for (const name of ['first', 'second', 'third']) {
      ids.push(await queueTask(plane, agent, `echo ${name} >> ${dir.join('log')}`));
    }
    await plane.kill9();
    await plane.restart();
    await agent.restart();
    for (const id of ids) await reaches(plane, id, 'succeeded');
    await agent.kill9();
    await agent.restart();
    await plane.restart();
    await isServed(plane, agent);
    expect(await readFile(dir.join('log'), 'utf8')).toBe('first\nsecond\nthird\n');
  });

  it('never runs what was cancelled while it waited', async () => {
    await using plane = await TestControlPlane.start();
    await using agent = await TestAgent.start({ controlPlane: plane });
    await using dir = await TempDir.make();
    await goAway(plane, agent);
    const id = await queueTask(plane, agent, `touch ${dir.join('ran')}`);
    const cancelled = await drawbridge(plane, ['tasks', 'cancel', id, '--json']);
    expect(cancelled.code).toBe(0);
    expect(JSON.parse(cancelled.stdout)).toMatchObject({ id, state: 'cancelled', started_at: null });
    await agent.restart();
    await isServed(plane, agent);
    expect(await taskOf(plane, id)).toMatchObject({ state: 'cancelled', exit_code: null });
    expect(existsSync(dir.join('ran'))).toBe(false);
  });

  it('never runs what was cancelled while its delivery was lost on the way', async () => {
    await using plane = await TestControlPlane.start({ env: { DRAWBRIDGE_LOGGING_LEVEL: 'debug' } });
    await using proxy = await ChaosProxy.start({ to: plane.url });
    await using agent = await TestAgent.start({ controlPlane: plane, url: proxy.url });
    await using dir = await TempDir.make();
    proxy.blackhole('down');
    const { body } = await plane.api('POST', '/api/v1/tasks', {
      agent_id: agent.name,
      provider: 'shell',
      instructions: `touch ${dir.join('ran')}`,
    });
    const id = idOf(body);
    await plane.waitForLog(({ msg, state }) => msg === 'command moved' && state === 'delivered');
    // Sent, and not heard: only the agent can say what became of it.
    expect(await plane.api('POST', `/api/v1/tasks/${id}/cancel`)).toMatchObject({
      status: 200,
      body: { ended_at: null },
    });
    proxy.reset();
    proxy.heal();
    await reaches(plane, id, 'cancelled');
    await isServed(plane, agent);
    expect(existsSync(dir.join('ran'))).toBe(false);
  });

  it('never runs what has expired', async () => {
    await using plane = await TestControlPlane.start();
    await using agent = await TestAgent.start({ controlPlane: plane });
    await using dir = await TempDir.make();
    await goAway(plane, agent);
    const args = ['run', agent.name, '-p', 'shell', '--queue', '--ttl', '1s', '--json', `touch ${dir.join('ran')}`];
    const run = await drawbridge(plane, args);
    expect(run.code).toBe(7);
    expect(documents(run)).toMatchObject([
      { type: 'task', task: { state: 'queued' } },
      { type: 'outcome', task: { state: 'expired', started_at: null, exit_code: null } },
    ]);
    await agent.restart();
    await isServed(plane, agent);
    expect(existsSync(dir.join('ran'))).toBe(false);
  });

  it('is waited for by a run that queues, which then streams and ends as ever', async () => {
    await using plane = await TestControlPlane.start();
    await using agent = await TestAgent.start({ controlPlane: plane });
    await goAway(plane, agent);
    await using run = await streamCli(
      ['run', agent.name, '-p', 'shell', '--queue', 'echo back again; exit 9'],
      access(plane),
    );
    await eventually(async () => (await drawbridge(plane, ['tasks', 'ls'])).stdout, {
      what: 'the queued task',
      until: (table) => /queued/.test(table),
      timeoutMs: AT_ONCE_MS,
    });
    await agent.restart();
    expect(await run.exited()).toEqual({ code: 9, signal: null });
    expect(run.stdout.text).toBe('back again\n');
  });
});

describe('the command line', () => {
  it('shows, reads and cancels tasks, for people and for programs', async () => {
    await using plane = await TestControlPlane.start();
    await using agent = await TestAgent.start({ controlPlane: plane });
    const run = await drawbridge(plane, ['run', agent.name, '-p', 'shell', '--json', 'printf "one\\ntwo\\n"; exit 5']);
    expect(run.code).toBe(5);
    const told = documents(run);
    expect(told.map(({ type }) => type)).toEqual(['task', ...told.slice(2).map(() => 'output'), 'outcome']);
    expect(told.map(({ text = '' }) => String(text)).join('')).toBe('one\ntwo\n');
    const id = idOf(told[0]?.['task']);
    const task = { id, agent_id: agent.agentId, provider: 'shell', state: 'failed', exit_code: 5, output_bytes: 8 };
    expect(told.at(-1)).toMatchObject({ type: 'outcome', task });

    expect(documents(await drawbridge(plane, ['tasks', 'ls', '--json']))).toMatchObject([task]);
    expect((await drawbridge(plane, ['tasks', 'ls'])).stdout).toMatch(
      new RegExp(`^TASK .*\n${id} +${agent.name} +failed +5 .* shell\n`),
    );
    expect(documents(await drawbridge(plane, ['tasks', 'show', id, '--json']))).toMatchObject([task]);
    expect((await drawbridge(plane, ['tasks', 'show', id])).stdout).toMatch(/^state +failed$/m);
    expect(await drawbridge(plane, ['tasks', 'logs', id])).toMatchObject({ code: 0, stdout: 'one\ntwo\n' });
    expect(await drawbridge(plane, ['tasks', 'logs', '--since', '4', id])).toMatchObject({ code: 0, stdout: 'two\n' });
    expect(documents(await drawbridge(plane, ['tasks', 'logs', '--since', '4', '--json', id]))).toEqual([
      { type: 'output', offset: 4, text: 'two\n' },
    ]);
    expect(await drawbridge(plane, ['tasks', 'logs', '-f', id])).toMatchObject({ code: 5, stdout: 'one\ntwo\n' });
    expect(await drawbridge(plane, ['tasks', 'result', id])).toMatchObject({ code: 0 });
    // What has ended stays as it is.
    expect(documents(await drawbridge(plane, ['tasks', 'cancel', id, '--json']))).toMatchObject([task]);
  });

  it('takes instructions from an argument, a file or standard input, byte for byte', async () => {
    await using plane = await TestControlPlane.start();
    await using agent = await TestAgent.start({ controlPlane: plane });
    await using dir = await TempDir.make();
    await writeFile(dir.join('script'), 'printf from-file');
    const run = ['run', agent.name, '-p', 'shell'];
    const given = await drawbridge(plane, [...run, 'printf "ä\\000ö"']);
    expect([...given.stdoutBytes]).toEqual([...Buffer.from('ä\0ö')]);
    expect((await drawbridge(plane, [...run, '-f', dir.join('script')])).stdout).toBe('from-file');
    expect((await drawbridge(plane, [...run, '-'], { input: 'printf from-stdin' })).stdout).toBe('from-stdin');
  });

  it('ends with 130 when the task was cancelled, and what the task had started is gone', async () => {
    await using plane = await TestControlPlane.start();
    await using agent = await TestAgent.start({ controlPlane: plane });
    await using run = await streamCli(['run', agent.name, '-p', 'shell', 'echo $$; sleep 600'], access(plane));
    const pid = await run.waitFor(() => run.stdout.lines[0], { what: 'the script', timeoutMs: AT_ONCE_MS });
    const [task] = documents(await drawbridge(plane, ['tasks', 'ls', '--json']));
    expect(task).toMatchObject({ state: 'running' });
    expect((await drawbridge(plane, ['tasks', 'cancel', idOf(task)])).code).toBe(0);
    expect(await run.exited()).toEqual({ code: 130, signal: null });
    expect(existsSync(`/proc/${pid}`)).toBe(false);
  });

  it('says with its exit code what went wrong', async () => {
    await using plane = await TestControlPlane.start();
    await using agent = await TestAgent.start({ controlPlane: plane });
    const run = ['run', agent.name, '-p', 'shell'];
    const codeOf = async (args: readonly string[], options: RunCliOptions = {}) =>
      (await drawbridge(plane, args, { timeoutMs: AT_ONCE_MS, ...options })).code;
    const others = (env: NodeJS.ProcessEnv) => ({ env: { ...access(plane).env, ...env } });

    expect(await codeOf(['run', agent.name, 'true']), 'no provider').toBe(2);
    expect(await codeOf([...run, '--timeout', 'soon', 'true']), 'no duration').toBe(2);
    expect(await codeOf(['tasks', 'ls', '--no-such-option']), 'no such option').toBe(2);
    expect(await codeOf(['no-such-verb']), 'no such verb').toBe(2);
    expect(await codeOf(['agents', 'ls'], others({ DRAWBRIDGE_TOKEN: `dbt_${'x'.repeat(40)}` })), 'token').toBe(3);
    expect(await codeOf(['run', 'nobody', '-p', 'shell', 'true']), 'no such agent').toBe(4);
    expect(await codeOf(['tasks', 'show', UNKNOWN_ID]), 'no such task').toBe(4);
    expect(await codeOf(['agents', 'ls'], others({ DRAWBRIDGE_URL: 'http://127.0.0.1:1' })), 'nobody there').toBe(6);
    expect(await codeOf([...run, '--timeout', '1s', 'sleep 600']), 'timed out').toBe(7);
    expect(await codeOf([...run, 'exit 3']), "the script's own").toBe(3);
    expect(await codeOf([...run, 'kill -9 $$']), 'killed').toBe(1);
    expect(await codeOf(['run', agent.name, '-p', 'missing', 'true']), 'no such provider').toBe(1);
  });

  it('ends with 8 when nobody knows how the task ended', async () => {
    await using plane = await TestControlPlane.start();
    await using agent = await TestAgent.start({ controlPlane: plane });
    await using run = await streamCli(['run', agent.name, '-p', 'shell', 'echo begun; sleep 600'], access(plane));
    await run.waitFor(() => run.stdout.lines[0], { what: 'the script', timeoutMs: AT_ONCE_MS });
    await agent.kill9();
    await agent.restart();
    expect(await run.exited()).toEqual({ code: 8, signal: null });
    expect(run.stderr.text).toMatch(/indeterminate/);
    expect(run.stdout.text).toBe('begun\n');
  });
});

function access(plane: TestControlPlane): { readonly env: NodeJS.ProcessEnv } {
  return { env: { DRAWBRIDGE_URL: plane.url, DRAWBRIDGE_TOKEN: plane.token } };
}

function drawbridge(plane: TestControlPlane, args: readonly string[], options: RunCliOptions = {}): Promise<CliResult> {
  return runCli(args, { ...access(plane), ...options });
}

/** Stops the agent and waits until the control plane knows. */
async function goAway(plane: TestControlPlane, agent: TestAgent): Promise<void> {
  expect(await agent.stop()).toEqual({ code: 0, signal: null });
  await eventually(() => plane.api('GET', `/api/v1/agents/${agent.name}`), {
    what: `${agent.name} to be offline`,
    until: ({ body }) => propertyOf(body, 'status') === 'offline',
  });
}

/** Resolves when the agent has answered a command made now: whatever was queued before has been delivered. */
async function isServed(plane: TestControlPlane, agent: TestAgent): Promise<void> {
  const path = `/api/v1/agents/${agent.name}/commands`;
  await eventually(() => plane.api('POST', path, { operation: 'agent.ping' }), {
    what: `${agent.name} to answer`,
    until: ({ body }) => propertyOf(body, 'state') === 'succeeded',
    timeoutMs: AT_ONCE_MS,
  });
}

async function queueTask(plane: TestControlPlane, agent: TestAgent, instructions: string): Promise<string> {
  const body = { agent_id: agent.name, provider: 'shell', instructions, queue_if_offline: true, ttl_seconds: 600 };
  const made = await plane.api('POST', '/api/v1/tasks', body);
  expect(made).toMatchObject({ status: 201, body: { state: 'queued', started_at: null } });
  return idOf(made.body);
}

async function taskOf(plane: TestControlPlane, id: string): Promise<Readonly<Record<string, unknown>>> {
  const { body } = await plane.api('GET', `/api/v1/tasks/${id}`);
  return typeof body === 'object' && body !== null ? { ...body } : {};
}

function reaches(plane: TestControlPlane, id: string, state: string): Promise<unknown> {
  return eventually(async () => (await taskOf(plane, id))['state'], {
    what: `task ${id} to be ${state}`,
    until: (now) => now === state,
    timeoutMs: 30_000,
  });
}

/** One JSON document a line. */
function documents({ stdout }: CliResult): Readonly<Record<string, unknown>>[] {
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

function idOf(body: unknown): string {
  const id = propertyOf(body, 'id');
  if (typeof id === 'string') return id;
  throw new Error(`no id in ${JSON.stringify(body)}`);
}

function propertyOf(body: unknown, name: string): unknown {
  return typeof body === 'object' && body !== null ? Reflect.get(body, name) : undefined;
}

import { createHash, randomUUID } from 'node:crypto';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { WsClose } from '@drawbridge/protocol';
import { createLogger } from '@drawbridge/runtime';
import {
  ChaosProxy,
  eventually,
  FakeClock,
  outputOf,
  runTask,
  startTask,
  TempDir,
  TestAgent,
  TestControlPlane,
} from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { serverAccess } from '../../apps/agent/src/access.ts';
import { loadAgentConfig } from '../../apps/agent/src/config.ts';
import { Journal } from '../../apps/agent/src/journal/journal.ts';
import { LinkKeeper } from '../../apps/agent/src/link/keep-linked.ts';
import { enrolRaw, newFacts, RawAgent, readIdentity } from './raw-agent.ts';

const TaskState = z.object({ state: z.string() });
const SUPERSEDED = { code: WsClose.Superseded, reason: 'superseded' };

it('is superseded by a copy of itself on another machine, says so, and waits a minute', async () => {
  await using plane = await TestControlPlane.start();
  await using proxy = await ChaosProxy.start({ to: plane.url });
  await using first = await TestAgent.start({ controlPlane: plane, url: proxy.url });
  const where = { agent: first.name, instructions: 'pwd' };
  expect(await outputOf(plane, (await runTask(plane, where)).id)).toMatch(first.dataDir);
  const connections = proxy.connections;
  await using dir = await copyOf(first);
  await using second = await TestAgent.start({
    controlPlane: plane,
    dataDir: dir.path,
    isEnrolled: true,
    config: { server: { url: plane.url } },
  });
  expect(second.agentId).toBe(first.agentId);
  expect(await first.waitForLog(({ kind }) => kind === 'superseded')).toMatchObject({
    waitMs: 60_000,
    msg: 'Channel closed (closed with 4001: superseded). Scheduling backoff.',
  });
  // Commands and streams are the second one's now, the tunnel that was open too.
  expect(await outputOf(plane, (await runTask(plane, where)).id)).toMatch(second.dataDir);
  expect(await plane.api('GET', `/api/v1/agents/${first.agentId}`)).toMatchObject({ body: { status: 'online' } });
  expect(proxy.connections).toBe(connections);
  expect(await first.stop(), 'while it waits').toEqual({ code: 0, signal: null });
});

it('lets nothing that a superseded connection still sends change anything', async () => {
  await using plane = await TestControlPlane.start();
  const identity = await enrolRaw(plane, 'cloned');
  const facts = newFacts();
  await using first = await RawAgent.connect(plane.url, identity, facts);
  first.send('heartbeat', { tasks_running: 1 });
  const task = await startTask(plane, { agent: identity.agentId, instructions: 'true' });
  const { id: commandId } = await first.hears('command');
  first.send('ack', { command_id: commandId, state: 'started' });
  await isState(plane, task.id, 'starting');

  first.turnDeaf();
  await using second = await RawAgent.connect(plane.url, identity, { ...facts, instance: randomUUID() });
  second.send('heartbeat', { tasks_running: 2 });
  const at = new Date().toISOString();
  first.send('heartbeat', { tasks_running: 99 });
  first.send('telemetry', { samples: [{ at, sample: { tasks_running: 99 } }] });
  first.send('event', { seq: 1, kind: 'task.state', data: { task_id: task.id, state: 'running', at } });
  first.send('command_response', outcomeOf(task.id, 7), commandId);
  first.send('disconnect', { reason: 'goodbye' });
  // Its goodbye is answered behind all of that: once it has ended, everything was read.
  first.hearAgain();
  expect(await first.ended()).toEqual(SUPERSEDED);
  await plane.waitForLog(({ msg, epoch }) => msg === 'agent disconnected' && epoch === 1);

  const agent = await plane.api('GET', `/api/v1/agents/${identity.agentId}`);
  expect(agent.body).toMatchObject({ status: 'online', health: { tasks_running: 2 } });
  await isState(plane, task.id, 'starting');
  // The second is asked for the outcome, without the instructions, and its word counts.
  expect(await second.hears('command')).toMatchObject({ id: commandId, payload: { operation: 'task.start' } });
  second.send('command_response', outcomeOf(task.id, 5), commandId);
  await isState(plane, task.id, 'failed');
  expect((await plane.api('GET', `/api/v1/tasks/${task.id}`)).body).toMatchObject({ exit_code: 5 });
  expect(first.heard.filter(({ type }) => type === 'command')).toHaveLength(1);
  await using third = await RawAgent.connect(plane.url, identity, { ...facts, instance: randomUUID() });
  // Had the event of the first been stored, it would be number 1.
  expect((await third.hears('auth_response')).payload).toMatchObject({ epoch: 3, last_event_seq: 0 });
});

it('takes the return of a superseded process for a cloned machine, and says so on the control plane', async () => {
  await using plane = await TestControlPlane.start();
  const identity = await enrolRaw(plane, 'cloned');
  const [here, there] = [newFacts(), newFacts()];
  await using first = await RawAgent.connect(plane.url, identity, here);
  await using _second = await RawAgent.connect(plane.url, identity, there);
  expect(await first.ended()).toEqual(SUPERSEDED);
  await using _again = await RawAgent.connect(plane.url, identity, here);
  const line = await plane.waitForLog(({ code }) => code === 'duplicate_identity');
  expect(line).toMatchObject({ level: 'error', agentId: identity.agentId });
});

it('takes neither a changed network nor a new process for a cloned machine', async () => {
  await using plane = await TestControlPlane.start();
  const identity = await enrolRaw(plane, 'cloned');
  const facts = newFacts();
  await using _before = await RawAgent.connect(plane.url, identity, facts);
  await using roamed = await RawAgent.connect(plane.url, identity, facts);
  const restarted = { ...facts, instance: randomUUID() };
  await using _after = await RawAgent.connect(plane.url, identity, restarted);
  await using _roamedAgain = await RawAgent.connect(plane.url, identity, restarted);
  expect(await roamed.ended()).toEqual(SUPERSEDED);
  await plane.stop();
  expect(plane.logs.filter(({ code }) => code === 'duplicate_identity')).toEqual([]);
});

it('takes three supersessions in ten minutes for a cloned machine, and says so on the agent', async () => {
  await using plane = await TestControlPlane.start();
  await using agent = await TestAgent.start({ controlPlane: plane });
  await agent.stop();
  const identity = await readIdentity(agent.dataDir);
  await using machine = await keepLinked(agent.dataDir);
  const loud = () => machine.log.filter((line) => line.includes('duplicate_identity'));
  for (let round = 1; round <= 3; round += 1) {
    await eventually(() => machine.counts.links === round, { what: `link ${round}` });
    expect(loud()).toEqual([]);
    await using _other = await RawAgent.connect(plane.url, identity, newFacts());
    await eventually(() => machine.clock.sleeps.length === round, { what: `wait ${round}` });
    await machine.clock.advance(60_000);
  }
  expect(machine.clock.sleeps).toEqual([60_000, 60_000, 60_000]);
  expect(loud()).toHaveLength(1);
});

/** The part of an agent that keeps its link, with a clock that the test moves. */
async function keepLinked(dataDir: string) {
  const clock = new FakeClock();
  const log: string[] = [];
  const counts = { links: 0 };
  const config = loadAgentConfig({ env: {} });
  const journal = Journal.open(join(dataDir, 'journal.db'), () => clock.now());
  const keeper = new LinkKeeper({
    access: await serverAccess(config, dataDir),
    config,
    journal,
    clock,
    log: createLogger({ level: 'info', sink: { write: (line) => log.push(line) } }),
    capabilities: [],
    user: {
      message: () => undefined,
      linkUp: () => (counts.links += 1),
      linkDown: () => undefined,
      journalReplaced: () => undefined,
      health: () => ({}),
    },
  });
  const stop = new AbortController();
  const running = keeper.run(stop.signal).catch(() => undefined);
  return {
    clock,
    log,
    counts,
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('the test is over'));
      await running;
      journal[Symbol.dispose]();
    },
  };
}

/** Another machine's data directory, with the identity of `agent` and nothing else of it. */
async function copyOf({ dataDir }: TestAgent): Promise<TempDir> {
  const dir = await TempDir.make();
  await copyFile(join(dataDir, 'identity.json'), dir.join('identity.json'));
  return dir;
}

async function isState(plane: TestControlPlane, taskId: string, state: string): Promise<void> {
  await eventually(async () => TaskState.parse((await plane.api('GET', `/api/v1/tasks/${taskId}`)).body).state, {
    what: `task ${taskId} to be ${state}`,
    until: (now) => now === state,
  });
}

function outcomeOf(taskId: string, exitCode: number) {
  const data = {
    task_id: taskId,
    state: 'failed',
    exit_code: exitCode,
    ended_at: new Date().toISOString(),
    output_bytes: 0,
    output_sha256: createHash('sha256').digest('hex'),
    result_bytes: 0,
  };
  return { status: 'success', data };
}

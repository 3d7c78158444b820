import { existsSync, readFileSync } from 'node:fs';
import type { DrawbridgeClient } from '@drawbridge/client';
import {
  ChaosProxy,
  eventually,
  isAlive,
  processesUsing,
  requires,
  TestAgent,
  TestControlPlane,
} from '@drawbridge/testkit';
import { describe, expect, it } from 'vitest';
import { outcomesIn } from './journal-files.ts';
import { BRISK, clientOf, follow, Ledger, PATIENT, startTask, untilRunning } from './task-story.ts';

const DRAIN = 'Initiating graceful drain...';

/** Starts a script whose first line notes its run, and waits until the control plane knows that it runs. Returns the task's id. */
async function startNoted(client: DrawbridgeClient, agent: TestAgent, ledger: Ledger, ...script: string[]) {
  const { id } = await startTask(client, agent, [ledger.note('task'), ...script].join('\n'));
  await untilRunning(client, id);
  await eventually(() => ledger.runs('task') > 0, { what: 'the first line of the task', timeoutMs: 20_000 });
  return id;
}

/** Sends SIGTERM and waits until the agent has said so; `ended` is how it ends. */
async function beginToStop(agent: TestAgent) {
  const ended = agent.stop();
  ended.catch(() => undefined);
  await agent.waitForLog(({ msg, signal }) => msg === DRAIN && signal === 'SIGTERM');
  return { ended };
}

describe('an agent that is told to stop', () => {
  it('finishes its task, delivers the outcome and says goodbye', async () => {
    await using ledger = await Ledger.make();
    await using plane = await TestControlPlane.start();
    await using agent = await TestAgent.start({ controlPlane: plane, config: BRISK });
    const client = clientOf(plane);
    const taskId = await startNoted(client, agent, ledger, ledger.await('end'), 'echo last words');
    const { whole } = follow(client, taskId);

    const { ended } = await beginToStop(agent);
    expect(await client.getTask(taskId)).toMatchObject({ state: 'running' });
    ledger.go('end');

    expect(await ended).toEqual({ code: 0, signal: null });
    expect(await client.getTask(taskId)).toMatchObject({ state: 'succeeded', exit_code: 0 });
    await plane.waitForLog(({ msg, reason }) => msg === 'agent says goodbye' && reason === 'Shutdown');
    await plane.waitForLog(({ msg, code }) => msg === 'agent disconnected' && code === 1000);
    await eventually(async () => (await client.getAgent(agent.name)).status === 'offline', {
      what: 'it to be offline',
    });
    await agent.restart();
    expect((await whole).toString()).toBe('last words\n');
  });

  it('waits for a link to deliver its outcome over', async () => {
    await using ledger = await Ledger.make();
    await using plane = await TestControlPlane.start();
    await using proxy = await ChaosProxy.start({ to: plane.url });
    await using agent = await TestAgent.start({ controlPlane: plane, url: proxy.url, config: BRISK });
    const client = clientOf(plane);
    const taskId = await startNoted(client, agent, ledger, ledger.await('end'));
    const { ended } = await beginToStop(agent);
    proxy.refuse();
    proxy.cut();
    ledger.go('end');
    await eventually(() => outcomesIn(agent.dataDir), {
      what: 'the outcome in the journal',
      until: (outcomes) => outcomes.some((outcome) => outcome.task_id === taskId),
    });
    proxy.heal();
    expect(await ended).toEqual({ code: 0, signal: null });
    expect(await client.getTask(taskId)).toMatchObject({ state: 'succeeded' });
  });

  it('leaves what comes while it drains to its successor', async () => {
    await using ledger = await Ledger.make();
    await using plane = await TestControlPlane.start();
    await using agent = await TestAgent.start({ controlPlane: plane, config: BRISK });
    const client = clientOf(plane);
    const taskId = await startNoted(client, agent, ledger, ledger.await('end'));
    const { ended } = await beginToStop(agent);
    const late = await startTask(client, agent, ledger.note('late'), { queueIfOffline: true });
    ledger.go('end');
    await ended;
    expect(await client.getTask(taskId)).toMatchObject({ state: 'succeeded' });
    expect(ledger.runs('late')).toBe(0);

    await agent.restart();
    expect(await client.waitForTask(late.id, PATIENT)).toMatchObject({ state: 'succeeded' });
    expect(ledger.allRuns()).toEqual({ task: 1, late: 1 });
  });

  it.runIf(requires('linux'))('ends a task that takes longer than it may, with all its processes', async () => {
    await using ledger = await Ledger.make();
    await using plane = await TestControlPlane.start();
    await using agent = await TestAgent.start({ controlPlane: plane, config: { ...BRISK, drain_timeout: 1 } });
    const client = clientOf(plane);
    const pidFile = ledger.path('grandchild');
    const stubborn = `setsid sh -c 'trap "" TERM; echo $$ > ${pidFile}; while :; do sleep 1; done' &`;
    const taskId = await startNoted(client, agent, ledger, stubborn, ledger.await('never'));
    const grandchild = await eventually(() => existsSync(pidFile) && Number(readFileSync(pidFile, 'utf8')), {
      what: 'the grandchild',
      until: (pid) => pid > 0,
    });

    expect(await agent.stop()).toEqual({ code: 0, signal: null });
    expect(await client.getTask(taskId)).toMatchObject({ state: 'cancelled', error: { message: 'the agent stopped' } });
    expect(isAlive(grandchild)).toBe(false);
    expect(processesUsing(agent.dataDir)).toEqual([]);
  });

  it.runIf(requires('linux'))('ends at once when it is told twice; its next start settles the task', async () => {
    await using ledger = await Ledger.make();
    await using plane = await TestControlPlane.start();
    await using agent = await TestAgent.start({ controlPlane: plane, config: BRISK });
    const client = clientOf(plane);
    const taskId = await startNoted(client, agent, ledger, ledger.await('never'));
    const { ended } = await beginToStop(agent);
    process.kill(agent.pid, 'SIGTERM');
    expect(await ended).toEqual({ code: 143, signal: null });

    await agent.restart();
    expect(await client.waitForTask(taskId, PATIENT)).toMatchObject({ state: 'indeterminate' });
    expect(processesUsing(agent.dataDir)).toEqual([agent.pid]);
    expect(ledger.runs('task')).toBe(1);
  });
});

describe('a control plane that is told to stop', () => {
  it('ends with 0 although agents are connected and somebody follows, and both go on after its return', async () => {
    await using ledger = await Ledger.make();
    await using plane = await TestControlPlane.start();
    await using agent = await TestAgent.start({ controlPlane: plane, config: BRISK });
    const client = clientOf(plane);
    const taskId = await startNoted(client, agent, ledger, 'echo before', ledger.await('end'), 'echo after');
    const { byteCount, whole } = follow(client, taskId);
    await eventually(() => byteCount() > 0, { what: 'the first output' });

    expect(await plane.stop()).toEqual({ code: 0, signal: null });
    await agent.waitForLog(
      ({ msg, reason }) => msg === 'the control plane says goodbye' && reason === 'server shutdown',
    );
    ledger.go('end');
    await plane.restart();
    expect((await whole).toString()).toBe('before\nafter\n');
    expect(await client.waitForTask(taskId, PATIENT)).toMatchObject({ state: 'succeeded' });
  });
});

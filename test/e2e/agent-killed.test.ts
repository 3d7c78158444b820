import { existsSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  ChaosProxy,
  eventually,
  isAlive,
  processesUsing,
  requires,
  streamCli,
  TempDir,
  TestAgent,
  TestControlPlane,
} from '@drawbridge/testkit';
import { describe, expect, it } from 'vitest';
import { copyJournal, outcomesIn, removeJournal } from './journal-files.ts';
import { BRISK, cliEnv, clientOf, follow, Ledger, PATIENT, startTask, untilRunning } from './task-story.ts';

const SLOW = { timeoutMs: 20_000 } as const;

describe.runIf(requires('linux'))('an agent killed while a task runs', () => {
  it('leaves the task indeterminate, for the API and the command line, and no process behind', async () => {
    await using ledger = await Ledger.make();
    await using plane = await TestControlPlane.start();
    await using agent = await TestAgent.start({ controlPlane: plane, config: BRISK });
    const script = [
      ledger.note('task'),
      `setsid sh -c 'echo $$ > ${ledger.path('grandchild')}; trap "" TERM; while :; do sleep 1; done' &`,
      ledger.await('never'),
    ].join('\n');
    await using cli = await streamCli(['run', agent.name, '--provider', 'shell', script], { env: cliEnv(plane) });
    const grandchild = await eventually(() => readPid(ledger.path('grandchild')), {
      what: 'the grandchild',
      ...SLOW,
    });
    const client = clientOf(plane);
    const task = await eventually(async () => (await client.listTasks())[0], {
      what: 'the task to run',
      until: ({ state }) => state === 'running',
    });

    await agent.kill9();
    expect(isAlive(grandchild)).toBe(true);
    await agent.restart();

    expect(await cli.exited()).toEqual({ code: 8, signal: null });
    expect(cli.stderr.text).toContain(`task ${task.id} indeterminate`);
    expect(await client.getTask(task.id)).toMatchObject({
      state: 'indeterminate',
      exit_code: null,
      error: { code: 'indeterminate' },
    });
    expect(isAlive(grandchild)).toBe(false);
    expect(processesUsing(agent.dataDir)).toEqual([agent.pid]);
  });

  it('never runs it again, however often both are started', async () => {
    await using ledger = await Ledger.make();
    await using plane = await TestControlPlane.start();
    await using agent = await TestAgent.start({ controlPlane: plane, config: BRISK });
    const client = clientOf(plane);
    const { id } = await startTask(client, agent, [ledger.note('killed'), ledger.await('never')].join('\n'));
    await eventually(() => ledger.runs('killed') > 0, { what: 'the task to run', ...SLOW });
    await agent.kill9();
    await plane.kill9();
    await plane.restart();
    await agent.restart();
    await agent.restart();
    expect(await client.waitForTask(id, PATIENT)).toMatchObject({ state: 'indeterminate' });
    await completeAnother(plane, agent, ledger);
    expect(ledger.runs('killed')).toBe(1);
  });
});

describe('an agent killed before the control plane heard that a task began', () => {
  it.each([
    { left: 'all it had', lost: [] },
    { left: 'its journal', lost: ['tasks'] },
    { left: 'its identity', lost: ['tasks', 'journal'] },
  ])('never runs it again, left with $left', async ({ lost }) => {
    await using ledger = await Ledger.make();
    await using plane = await TestControlPlane.start();
    await using proxy = await ChaosProxy.start({ to: plane.url });
    await using agent = await TestAgent.start({ controlPlane: plane, url: proxy.url, config: BRISK });
    const client = clientOf(plane);
    proxy.blackhole('up');
    const { id } = await startTask(client, agent, [ledger.note('task'), ledger.await('end')].join('\n'));
    await eventually(() => ledger.runs('task') > 0, { what: 'the task to run', ...SLOW });
    await agent.kill9();
    expect(await client.getTask(id)).toMatchObject({ state: 'queued', started_at: null });
    // Nothing held up may arrive after all.
    proxy.reset();
    proxy.heal();
    if (lost.includes('tasks')) await rm(join(agent.dataDir, 'tasks'), { recursive: true });
    if (lost.includes('journal')) removeJournal(agent.dataDir);
    await agent.restart();
    expect(await client.waitForTask(id, PATIENT)).toMatchObject({ state: 'indeterminate' });
    await completeAnother(plane, agent, ledger);
    expect(ledger.runs('task')).toBe(1);
    ledger.go('end');
  });
});

describe('an agent killed when an outcome could not be delivered', () => {
  it.each(['swallowed', 'refused'] as const)(
    'delivers it after its next start, the connection being %s',
    async (how) => {
      await using ledger = await Ledger.make();
      await using plane = await TestControlPlane.start();
      await using proxy = await ChaosProxy.start({ to: plane.url });
      await using agent = await TestAgent.start({ controlPlane: plane, url: proxy.url, config: BRISK });
      const client = clientOf(plane);
      const script = [ledger.note('task'), ledger.await('end'), 'exit 7'].join('\n');
      const { id } = await startTask(client, agent, script);
      await untilRunning(client, id);

      if (how === 'swallowed') proxy.blackhole();
      else {
        proxy.refuse();
        proxy.cut();
      }
      ledger.go('end');
      await eventually(() => outcomesIn(agent.dataDir), {
        what: 'the outcome in the journal',
        until: (outcomes) => outcomes.some(({ task_id: taskId }) => taskId === id),
        ...SLOW,
      });
      await agent.kill9();
      expect(await client.getTask(id)).toMatchObject({ state: 'running' });

      proxy.heal();
      await agent.restart();
      expect(await client.waitForTask(id, PATIENT)).toMatchObject({ state: 'failed', exit_code: 7 });
      expect(ledger.runs('task')).toBe(1);
    },
  );
});

describe('an agent whose journal went back in time', () => {
  it.each(['replaced by an older copy', 'deleted'] as const)('runs nothing twice and works on, %s', async (how) => {
    await using ledger = await Ledger.make();
    await using copy = await TempDir.make();
    await using plane = await TestControlPlane.start();
    await using agent = await TestAgent.start({ controlPlane: plane, config: BRISK });
    const client = clientOf(plane);
    await completeAnother(plane, agent, ledger, 'before');
    await agent.stop();
    copyJournal(agent.dataDir, copy.path);

    await agent.restart();
    const done = await completeAnother(plane, agent, ledger, 'done');
    const unfinished = await startTask(client, agent, [ledger.note('unfinished'), ledger.await('never')].join('\n'));
    await eventually(() => ledger.runs('unfinished') > 0, { what: 'the task to run', ...SLOW });
    await agent.kill9();
    removeJournal(agent.dataDir);
    if (how !== 'deleted') copyJournal(copy.path, agent.dataDir);

    await agent.restart();
    expect(await client.waitForTask(unfinished.id, PATIENT)).toMatchObject({ state: 'indeterminate' });
    expect(await client.getTask(done)).toMatchObject({ state: 'succeeded' });
    await completeAnother(plane, agent, ledger, 'after');
    expect(ledger.allRuns()).toEqual({ before: 1, done: 1, unfinished: 1, after: 1 });
  });

  it('keeps its output for whoever reads it later', async () => {
    await using plane = await TestControlPlane.start();
    await using agent = await TestAgent.start({ controlPlane: plane, config: BRISK });
    const client = clientOf(plane);
    const { id } = await startTask(client, agent, 'echo still here');
    await client.waitForTask(id, PATIENT);
    await agent.stop();
    removeJournal(agent.dataDir);
    await agent.restart();
    expect((await follow(client, id).whole).toString()).toBe('still here\n');
  });
});

/** Runs a task to its success: the agent took what was sent before it, in its order, too. Returns its id. */
async function completeAnother(
  plane: TestControlPlane,
  agent: TestAgent,
  ledger: Ledger,
  name = 'another',
): Promise<string> {
  const client = clientOf(plane);
  const { id } = await startTask(client, agent, ledger.note(name));
  expect(await client.waitForTask(id, PATIENT)).toMatchObject({ state: 'succeeded', exit_code: 0 });
  expect(ledger.runs(name)).toBe(1);
  return id;
}

function readPid(path: string): number | undefined {
  return existsSync(path) ? Number(readFileSync(path, 'utf8')) || undefined : undefined;
}

import type { DrawbridgeClient, TaskView } from '@drawbridge/client';
import { systemClock } from '@drawbridge/link';
import {
  ChaosProxy,
  eventually,
  runCli,
  scaled,
  type SeededRandom,
  TestAgent,
  TestControlPlane,
  withSeed,
} from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import {
  BRISK,
  cliEnv,
  clientOf,
  follow,
  Ledger,
  type NumberedTask,
  outputOf,
  PATIENT,
  perfectReading,
  readingOf,
  sha256Of,
  startTask,
} from './task-story.ts';

const KILLS = scaled(20, 3);
/** A kill comes this long, at most, after its part of the story began. */
const MOMENT_MS_MAX = 600;
/** Each long task writes a part between any two kills, a few megabytes in all. */
const LINES_PER_PART = Math.ceil(600_000 / (KILLS + 1));
const LONG_TASKS = ['long-1', 'long-2', 'long-3'] as const;
const SHORT_TASKS_PER_KILL = 6;

it(
  'loses no task it accepted, runs none twice and skips no byte, killed at random moments',
  () =>
    withSeed(async (random) => {
      await using ledger = await Ledger.make();
      await using plane = await TestControlPlane.start();
      await using agent = await TestAgent.start({ controlPlane: plane, config: BRISK });
      const client = clientOf(plane);
      const long = LONG_TASKS.map((name): NumberedTask => ({ name, parts: KILLS + 1, linesPerPart: LINES_PER_PART }));
      const followers = await Promise.all(long.map((task) => startLong(client, agent, ledger, task)));
      const cliTask = { name: 'cli', parts: KILLS + 1, linesPerPart: LINES_PER_PART };
      const cli = runCli(['run', agent.name, '--provider', 'shell', ledger.scriptOf(cliTask)], {
        env: cliEnv(plane),
        timeoutMs: 600_000,
      });
      await eventually(() => ledger.runs('cli') > 0, { what: 'the command line to start its task', timeoutMs: 20_000 });

      const accepted: TaskView[] = [];
      for (let kill = 1; kill <= KILLS; kill += 1) {
        ledger.go(`part-${kill}`);
        accepted.push(...(await submitUntilKilled({ client, plane, agent, ledger, random, kill })));
        await plane.restart();
      }
      ledger.go(`part-${KILLS + 1}`);

      for (const { task, taskId, output } of followers) {
        expect(await readingOf(client, taskId, output.whole)).toEqual(perfectReading(task));
      }
      const { code, stderr, stdoutBytes } = await cli;
      expect({ code, stderr }).toMatchObject({ code: 0 });
      expect(sha256Of(stdoutBytes)).toBe(sha256Of(outputOf(cliTask)));

      expect(accepted.length).toBeGreaterThan(0);
      for (const { id } of accepted) {
        expect(await client.waitForTask(id, PATIENT)).toMatchObject({ state: 'succeeded', exit_code: 0 });
      }
      await everyTaskEnded(client);
      // What was never answered may have run or not; nothing ran twice.
      const runs = ledger.allRuns();
      expect(Object.entries(runs).filter(([, times]) => times !== 1)).toEqual([]);
      expect(Object.keys(runs).length).toBeGreaterThanOrEqual(long.length + 1 + accepted.length);
    }),
  60_000 + KILLS * 20_000,
);

it('sends again what it had sent and nobody heard', async () => {
  await using ledger = await Ledger.make();
  await using plane = await TestControlPlane.start();
  await using proxy = await ChaosProxy.start({ to: plane.url });
  await using agent = await TestAgent.start({ controlPlane: plane, url: proxy.url, config: BRISK });
  const client = clientOf(plane);
  proxy.blackhole('down');
  const carriedBytes = proxy.carriedBytes('down');
  const { id } = await startTask(client, agent, ledger.note('task'));
  // Commands go in order: when this one was sent, the task was. Nobody hears it, so that its time runs out.
  const ping = { operation: 'agent.ping', params: {}, timeout_seconds: 1 };
  const { body } = await plane.api('POST', `/api/v1/agents/${agent.agentId}/commands`, ping);
  expect(body).toMatchObject({ state: 'failed', error: { code: 'command_timeout' } });
  await plane.kill9();
  expect(proxy.carriedBytes('down')).toBe(carriedBytes);
  proxy.reset();
  proxy.heal();
  await plane.restart();
  expect(await client.waitForTask(id, PATIENT)).toMatchObject({ state: 'succeeded' });
  expect(ledger.runs('task')).toBe(1);
});

async function startLong(client: DrawbridgeClient, agent: TestAgent, ledger: Ledger, task: NumberedTask) {
  const { id } = await startTask(client, agent, ledger.scriptOf(task));
  return { task, taskId: id, output: follow(client, id) };
}

interface Round {
  readonly client: DrawbridgeClient;
  readonly plane: TestControlPlane;
  readonly agent: TestAgent;
  readonly ledger: Ledger;
  readonly random: SeededRandom;
  readonly kill: number;
}

/** Submits short tasks, one after the other, and kills the control plane at some moment of it. Resolves to what it accepted. */
async function submitUntilKilled({ client, plane, agent, ledger, random, kill }: Round): Promise<TaskView[]> {
  const killing = systemClock.sleep(random.integer(0, MOMENT_MS_MAX)).then(() => plane.kill9());
  const accepted: TaskView[] = [];
  for (let index = 1; index <= SHORT_TASKS_PER_KILL; index += 1) {
    // The agent may not be back from the last kill: its tasks wait for it.
    const script = ledger.note(`short-${kill}-${index}`);
    try {
      accepted.push(await startTask(client, agent, script, { queueIfOffline: true }));
    } catch {
      // Nobody was promised anything.
      break;
    }
  }
  await killing;
  return accepted;
}

async function everyTaskEnded(client: DrawbridgeClient): Promise<void> {
  await eventually(() => client.listTasks({ limit: 200 }), {
    what: 'every task to end',
    until: (tasks) => tasks.every(({ ended_at: endedAt }) => endedAt !== null),
    timeoutMs: 20_000,
  });
}

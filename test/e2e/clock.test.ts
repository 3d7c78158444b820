import { outputOf, requires, runTask, TestAgent, TestControlPlane } from '@drawbridge/testkit';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const run = promisify(execFile);
const HOUR_MS = 3_600_000;
const SLACK_MS = 60_000;

/** The variables with which a program lives at another time: those that the `faketime` command sets. */
async function environmentAt(offset: string): Promise<NodeJS.ProcessEnv> {
  const { stdout } = await run('faketime', ['-f', offset, 'env']);
  const faked = stdout.split('\n').filter((line) => /^(LD_PRELOAD|FAKETIME\w*)=/.test(line));
  // How long something takes is no question of the wall clock.
  return { ...Object.fromEntries(faked.map(assignment)), FAKETIME_DONT_FAKE_MONOTONIC: '1' };
}

function assignment(line: string): [name: string, value: string] {
  const index = line.indexOf('=');
  return [line.slice(0, index), line.slice(index + 1)];
}

async function clockOf(controlPlane: TestControlPlane, agent: TestAgent): Promise<number> {
  const path = `/api/v1/agents/${agent.name}/commands`;
  const { body } = await controlPlane.api('POST', path, { operation: 'agent.ping' });
  const time: unknown = typeof body === 'object' && body !== null && 'data' in body ? body.data : undefined;
  if (typeof time === 'object' && time !== null && 'time' in time) return Date.parse(String(time.time));
  throw new Error(`no time in ${JSON.stringify(body)}`);
}

describe.runIf(requires('linux', 'faketime'))('an agent whose clock is wrong', () => {
  it.each([
    ['ahead', '+2h', 2 * HOUR_MS],
    ['behind', '-2h', -2 * HOUR_MS],
  ])('enrols, runs a task and streams its output two hours %s', async (_direction, offset, offsetMs) => {
    await using controlPlane = await TestControlPlane.start();
    await using agent = await TestAgent.start({ controlPlane, env: await environmentAt(offset) });
    expect(Math.abs((await clockOf(controlPlane, agent)) - Date.now() - offsetMs)).toBeLessThan(SLACK_MS);

    const task = await runTask(controlPlane, { agent: agent.name, instructions: 'echo on time; exit 3' });
    expect(task).toMatchObject({ state: 'failed', exit_code: 3 });
    // Output comes by a tunnel, whose token lives for two minutes of the control plane's clock.
    expect(await outputOf(controlPlane, task.id)).toBe('on time\n');

    await agent.restart();
    const second = await runTask(controlPlane, { agent: agent.name, instructions: 'echo again' });
    expect(second).toMatchObject({ state: 'succeeded' });
    expect(await outputOf(controlPlane, second.id)).toBe('again\n');
  });

  it.each(['+2h', '-2h'])('keeps to the time limit of a task with a clock that is off by %s', async (offset) => {
    await using controlPlane = await TestControlPlane.start();
    await using agent = await TestAgent.start({ controlPlane, env: await environmentAt(offset) });
    const task = { agent: agent.name, instructions: 'sleep 60', timeoutSeconds: 1 };
    expect(await runTask(controlPlane, task)).toMatchObject({ state: 'timed_out' });
  });
});

describe.runIf(requires('linux', 'faketime'))('a control plane whose clock is wrong', () => {
  it.each(['+2h', '-2h'])('is served by agents with the right time when its own is off by %s', async (offset) => {
    await using controlPlane = await TestControlPlane.start({ env: await environmentAt(offset) });
    await using agent = await TestAgent.start({ controlPlane });
    const task = await runTask(controlPlane, { agent: agent.name, instructions: 'echo on time' });
    expect(task).toMatchObject({ state: 'succeeded' });
    expect(await outputOf(controlPlane, task.id)).toBe('on time\n');
  });
});

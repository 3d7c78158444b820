import { readFile, readdir, writeFile } from 'node:fs/promises';
import { eventually, runCli, streamCli, TempDir, TestAgent, TestControlPlane } from '@drawbridge/testkit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { BRISK, cliEnv, clientOf, PATIENT } from './task-story.ts';

let plane: TestControlPlane;
let agents: TestAgent[];
let away: TestAgent[];
beforeAll(async () => {
  plane = await TestControlPlane.start();
  const start = (name: string) =>
    TestAgent.start({ controlPlane: plane, name, labels: { site: 'lab' }, config: BRISK });
  away = [await start('a0'), await start('a1')];
  agents = [await start('b0'), await start('b1'), await start('b2')];
  await Promise.all(away.map((agent) => agent.stop()));
});
afterAll(async () => {
  await Promise.all([...away, ...agents].map((agent) => agent[Symbol.asyncDispose]()));
  await plane[Symbol.asyncDispose]();
});

const cli = (...args: string[]) => runCli(args, { env: cliEnv(plane) });

it('has groups, made, shown and removed from the command line', async () => {
  expect(await cli('groups', 'create', 'lab', '--selector', 'site=lab', '--json')).toMatchObject({ code: 0 });
  expect(await cli('groups', 'create', 'lab', '--selector', 'x')).toMatchObject({ code: 5 });
  expect((await cli('groups', 'ls')).stdout).toContain('site=lab');
  const { stdout } = await cli('groups', 'agents', 'lab', '--json');
  expect(lines(stdout).map(({ name }) => name)).toEqual(['a0', 'a1', 'b0', 'b1', 'b2']);
  expect(await cli('groups', 'create', 'gone', '--selector', 'x')).toMatchObject({ code: 0 });
  expect(await cli('groups', 'rm', 'gone')).toMatchObject({ code: 0 });
  expect(await cli('groups', 'show', 'gone')).toMatchObject({ code: 4 });
});

it('goes on where it was when the control plane was killed in the middle, and starts nothing twice', async () => {
  await using dir = await TempDir.make('drawbridge-bulk-');
  const instructions = `echo run >> ${dir.path}/$DRAWBRIDGE_TASK_ID; until [ -e ${dir.path}/go ]; do sleep 0.05; done`;
  const ledger = async () => {
    const names = (await readdir(dir.path)).filter((name) => name !== 'go');
    return Promise.all(names.map(async (name) => [name, await readFile(dir.join(name), 'utf8')] as const));
  };
  const client = clientOf(plane);
  const wanted = { group: 'lab', provider: 'shell', instructions, concurrency: 2 };
  const run = await client.bulkRuns.create(wanted, PATIENT);
  await eventually(ledger, { what: 'two tasks to run', until: (runs) => runs.length === 2, timeoutMs: 20_000 });
  const { targets } = await client.bulkRuns.get(run.id);
  expect(targets).toMatchObject({ failed: 2, started: 2, waiting: 1 });

  await plane.kill9();
  await plane.restart();
  await writeFile(dir.join('go'), '');

  const ended = await eventually(() => client.bulkRuns.get(run.id), {
    what: 'the run to end',
    until: ({ ended_at: endedAt }) => endedAt !== null,
    timeoutMs: 40_000,
  });
  expect(ended).toMatchObject({ state: 'failed', targets: { succeeded: 3, failed: 2 } });
  const all = await client.bulkRuns.targets(run.id);
  expect(all.map(({ error }) => error?.code)).toEqual([
    'agent_offline',
    'agent_offline',
    undefined,
    undefined,
    undefined,
  ]);
  const runs = Object.fromEntries(await ledger());
  expect(runs).toEqual(Object.fromEntries(all.flatMap(({ task_id: id }) => (id === null ? [] : [[id, 'run\n']]))));
  expect((await client.listTasks({ limit: 200 })).length).toBe(3);
});

it('waits for agents that are offline, and tells each change as JSON', async () => {
  const following = cli('groups', 'run', 'lab', '--operation', 'agent.ping', '--queue', '--json');
  for (const agent of away) {
    await agent.launch();
    await agent.waitUntilUp();
  }
  const { code, stdout, stderr } = await following;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const told = lines(stdout);
  expect(told.at(0)).toMatchObject({ type: 'run', run: { state: 'running', group: 'lab' } });
  expect(told.at(-1)).toMatchObject({ type: 'outcome', run: { state: 'succeeded', targets: { succeeded: 5 } } });
});

it('stops after more failures than it may have, and says so with its exit code', async () => {
  const words = ['groups', 'run', '-l', 'site=lab', '--provider', 'shell', '--concurrency', '1', '--failures-max', '0'];
  const { code, stdout, stderr } = await cli(...words, 'exit 3');
  expect({ code, stderr }).toEqual({ code: 1, stderr: 'stopped: 5 of 5 ended: 4 skipped, 1 failed\n' });
  expect(stdout).toMatch(/^a0 +failed/);
});

it('is cancelled by Ctrl-C: what runs is ended, the rest is skipped', async () => {
  const words = ['groups', 'run', 'lab', '--provider', 'shell', '--concurrency', '2', 'sleep 60'];
  await using running = await streamCli(words, { env: cliEnv(plane) });
  const client = clientOf(plane);
  const [run] = await eventually(() => client.bulkRuns.list({ limit: 1 }), {
    what: 'two targets to start',
    until: ([newest]) => newest?.state === 'running' && newest.targets.started === 2,
    timeoutMs: 20_000,
  });
  running.signal('SIGINT');
  expect(await running.exited()).toMatchObject({ code: 130 });
  const { state, targets } = await client.bulkRuns.get(run?.id ?? '');
  expect({ state, targets }).toMatchObject({ state: 'cancelled', targets: { cancelled: 2, skipped: 3 } });
});

it('records the run, and the start on each agent in the name of who asked', async () => {
  const records = await Array.fromAsync(clientOf(plane).audit.list({ limit: 200 }));
  const starts = records.filter(({ details }) => details['via'] === 'bulk');
  expect(new Set(starts.map(({ verb }) => verb))).toEqual(new Set(['task.run', 'agent.command']));
  const asked = records.filter(({ resource }) => resource?.startsWith('bulk-run:') === true);
  expect(asked.map(({ verb, details }) => [verb, details['targets']])).toEqual([
    ['task.cancel', undefined],
    ['task.run', 5],
    ['task.run', 5],
    ['agent.command', 5],
    ['task.run', 5],
  ]);
  expect(new Set(starts.map(({ actor }) => actor))).toEqual(new Set(asked.map(({ actor }) => actor)));
});

function lines(text: string): Record<string, unknown>[] {
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

import type { Outcome } from '@drawbridge/protocol';
import { eventually } from '@drawbridge/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RecordedLink } from '../control-plane-fixture.ts';
import type { Actor } from '../operators/actor.ts';
import { BulkRunsRepository } from '../store/bulk-runs-repository.ts';
import { CommandsRepository } from '../store/commands-repository.ts';
import { BulkFixture, pingRun, taskRun } from './bulk-fixture.ts';
import { taskOutcome } from './bulk-world-fixture.ts';
import { BULK_ENGINE_LIMITS } from './limits.ts';

const SUCCESS = { status: 'success', data: null } as const satisfies Outcome;
const ERROR = { status: 'error', error: { code: 'process_failed', message: 'no' } } as const satisfies Outcome;

let bulk: BulkFixture;
let admin: Actor;
beforeEach(async () => {
  bulk = await BulkFixture.make();
  admin = await bulk.person();
});
afterEach(() => bulk[Symbol.asyncDispose]());

/** Agents `a0`, `a1`, … that are connected. */
async function connected(count: number, labels: Record<string, string> = {}): Promise<RecordedLink[]> {
  const links: RecordedLink[] = [];
  for (let index = 0; index < count; index += 1) {
    links.push(await bulk.control.connect(await bulk.addAgent(`a${index}`, labels)));
  }
  return links;
}

/** The agent of this link ends the only command it got. */
async function end(link: RecordedLink | undefined, outcome: Outcome): Promise<void> {
  if (link === undefined) throw new Error('no such link');
  const [command] = await bulk.control.delivered(link, 1);
  await bulk.control.parts.commands.ended(link, command?.id ?? '', outcome);
}

function commandsOf(links: readonly RecordedLink[]): number[] {
  return links.map(({ sent }) => sent.filter(({ type }) => type === 'command').length);
}

it('has at most so many targets unfinished, starts the next with each end, and ends when all have', async () => {
  const links = await connected(3);
  const run = await bulk.parts.runs.create(pingRun({ concurrency: 2 }), admin);
  await bulk.untilTargets(run.id, 'started', 2);
  await bulk.control.delivered(links[0] ?? never(), 1);
  expect(commandsOf(links.slice(2))).toEqual([0]);
  await end(links[1], SUCCESS);
  await end(links[2], SUCCESS);
  const targets = await bulk.untilTargets(run.id, 'succeeded', 2);
  expect(targets.map(({ state }) => state)).toEqual(['started', 'succeeded', 'succeeded']);
  await end(links[0], SUCCESS);
  expect((await bulk.until(run.id, 'succeeded')).targets).toMatchObject({ succeeded: 3, waiting: 0 });
});

it.each([
  ['failed', ERROR],
  ['timed_out', { status: 'error', error: { code: 'command_timeout', message: 'late' } }],
  ['cancelled', { status: 'cancelled' }],
  ['indeterminate', { status: 'indeterminate', error: { code: 'indeterminate', message: 'lost' } }],
] as const satisfies readonly (readonly [string, Outcome])[])(
  'shows the end of a command as %s',
  async (state, outcome) => {
    const links = await connected(1);
    const run = await bulk.parts.runs.create(pingRun(), admin);
    await end(links[0], outcome);
    await bulk.until(run.id, 'failed');
    const error = 'error' in outcome ? outcome.error : null;
    expect(await bulk.targets(run.id)).toMatchObject([{ state, error }]);
  },
);

it('shows the end of a task as the task has it, and names both', async () => {
  const [link] = await connected(1);
  const run = await bulk.parts.runs.create(pingRun(taskRun('sleep 99')), admin);
  const [target] = await bulk.untilTargets(run.id, 'started', 1);
  await end(link, { status: 'success', data: taskOutcome(target?.task_id ?? '', 'timed_out') });
  await bulk.until(run.id, 'failed');
  const task = await bulk.control.parts.tasks.get(target?.task_id ?? '');
  expect(await bulk.targets(run.id)).toMatchObject([{ state: 'timed_out', command_id: task.command_id }]);
});

describe('an agent that is offline', () => {
  it('is a failure at once, when nothing is queued', async () => {
    const agentId = await bulk.addAgent('away');
    const run = await bulk.parts.runs.create(pingRun(), admin);
    await bulk.until(run.id, 'failed');
    expect(await bulk.targets(run.id)).toMatchObject([
      { agent_id: agentId, state: 'failed', command_id: null, error: { code: 'agent_offline' } },
    ]);
  });

  it('is waited for, when the run queues', async () => {
    const agentId = await bulk.addAgent('away');
    const run = await bulk.parts.runs.create(pingRun({ queueIfOffline: true }), admin);
    await bulk.untilTargets(run.id, 'started', 1);
    await end(await bulk.control.connect(agentId), SUCCESS);
    await bulk.until(run.id, 'succeeded');
  });

  it('is given time to come back after a restart of the control plane', async () => {
    const run = await halfDoneThenCrashed();
    await bulk.control.clock.advance(2 * BULK_ENGINE_LIMITS.pollMs);
    expect((await bulk.targets(run.id)).map(({ state }) => state)).toEqual(['succeeded', 'waiting']);
    await bulk.control.clock.advance(BULK_ENGINE_LIMITS.returnMs);
    await bulk.until(run.id, 'failed');
    expect(await bulk.targets(run.id)).toMatchObject([{}, { state: 'failed', error: { code: 'agent_offline' } }]);
  });

  it('is started when it comes back in that time', async () => {
    const run = await halfDoneThenCrashed();
    const [, second] = await bulk.targets(run.id);
    const link = await bulk.control.connect(second?.agent_id ?? '');
    await bulk.control.clock.advance(BULK_ENGINE_LIMITS.pollMs);
    await end(link, SUCCESS);
    await bulk.until(run.id, 'succeeded');
  });

  /** Of two targets the first has succeeded, the second waits, and no agent is connected any more. */
  async function halfDoneThenCrashed() {
    const [first] = await connected(2);
    const run = await bulk.parts.runs.create(pingRun({ concurrency: 1 }), admin);
    const [command] = await bulk.control.delivered(first ?? never(), 1);
    await bulk.control.clock.advance(1);
    // What was under way when the process died is told by the agent once it is back.
    await bulk.crash();
    const { journalId = '', agentId = '' } = first ?? {};
    const back = await bulk.control.connect(agentId, { journalId });
    await bulk.control.parts.commands.ended(back, command?.id ?? '', SUCCESS);
    await bulk.untilTargets(run.id, 'succeeded', 1);
    return run;
  }
});

it('starts nothing more after more failures than it tolerates, and lets end what was started', async () => {
  const links = await connected(5);
  const run = await bulk.parts.runs.create(pingRun({ concurrency: 2, failuresMax: 1 }), admin);
  await end(links[0], ERROR);
  await end(links[2], ERROR);
  await bulk.untilTargets(run.id, 'skipped', 2);
  expect((await bulk.targets(run.id)).map(({ state }) => state)).toEqual([
    'failed',
    'started',
    'failed',
    'skipped',
    'skipped',
  ]);
  await end(links[1], SUCCESS);
  await bulk.until(run.id, 'stopped');
  expect(commandsOf(links)).toEqual([1, 1, 1, 0, 0]);
});

it('cancels what was started, skips the rest, and is cancelled when the last one has ended', async () => {
  const links = await connected(3);
  const run = await bulk.parts.runs.create(pingRun({ concurrency: 2 }), admin);
  await bulk.untilTargets(run.id, 'started', 2);
  await Promise.all(links.slice(0, 2).map((link) => bulk.control.delivered(link, 1)));
  await bulk.parts.runs.cancel(run.id);
  await eventually(() => links.slice(0, 2).map(({ sent }) => sent.at(-1)?.type), {
    what: 'both to be asked',
    until: (types) => types.every((type) => type === 'cancel'),
  });
  await end(links[0], { status: 'cancelled' });
  await end(links[1], SUCCESS);
  expect((await bulk.until(run.id, 'cancelled')).targets).toMatchObject({ cancelled: 1, succeeded: 1, skipped: 1 });
});

it('notices within two seconds what no wake-up told', async () => {
  const [link] = await connected(1);
  const run = await bulk.parts.runs.create(pingRun(), admin);
  const [target] = await bulk.untilTargets(run.id, 'started', 1);
  await bulk.control.delivered(link ?? never(), 1);
  const set = { state: 'succeeded', ended_at: new Date(0).toISOString() } as const;
  const repository = new CommandsRepository(bulk.control.parts.db);
  await repository.move({ id: target?.command_id ?? '', from: ['delivered'], set });
  await bulk.control.clock.advance(BULK_ENGINE_LIMITS.pollMs);
  await bulk.until(run.id, 'succeeded');
});

describe('rights', () => {
  it('make no target of what the caller may not see, and a refused one of what they may only see', async () => {
    const [lab] = await connected(1, { site: 'lab' });
    await bulk.addAgent('elsewhere', { site: 'away' });
    const viewer = await bulk.person('viewer', 'site=lab');
    const run = await bulk.parts.runs.create(pingRun(), viewer);
    await bulk.until(run.id, 'failed');
    expect(await bulk.targets(run.id)).toMatchObject([
      { agent_id: lab?.agentId, state: 'refused', error: { code: 'forbidden' } },
    ]);
    expect(await auditOf('denied')).toMatchObject([
      { actor: `user:${viewer.id}`, verb: 'agent.command', agent_id: lab?.agentId, reason: 'forbidden' },
    ]);
  });

  it('are asked for again when a target starts', async () => {
    const links = await connected(2, { site: 'lab' });
    const operator = await bulk.person('operator', 'site=lab');
    const run = await bulk.parts.runs.create(pingRun({ concurrency: 1 }), operator);
    await bulk.untilTargets(run.id, 'started', 1);
    await bulk.give(operator.id, 'viewer', 'site=lab');
    await end(links[0], SUCCESS);
    await bulk.until(run.id, 'failed');
    expect((await bulk.targets(run.id)).map(({ state }) => state)).toEqual(['succeeded', 'refused']);
    expect(commandsOf(links)).toEqual([1, 0]);
  });

  it('hide a run none of whose targets the caller may see', async () => {
    await connected(1, { site: 'lab' });
    const run = await bulk.parts.runs.create(pingRun(), admin);
    const stranger = await bulk.person('admin', 'site=away');
    await expect(bulk.parts.runs.find(run.id, stranger)).rejects.toMatchObject({ code: 'bulk_run_not_found' });
    expect(await bulk.parts.runs.list({ limit: 10, cursor: undefined }, stranger)).toEqual([]);
    expect(await bulk.parts.runs.list({ limit: 10, cursor: undefined }, admin)).toMatchObject([{ id: run.id }]);
  });
});

it('records every start in the name of who asked, with the command', async () => {
  const [link] = await connected(1);
  const run = await bulk.parts.runs.create(pingRun(), admin);
  const [target] = await bulk.untilTargets(run.id, 'started', 1);
  await end(link, SUCCESS);
  await bulk.until(run.id, 'succeeded');
  expect(await auditOf('allowed')).toMatchObject([
    {
      actor: `user:${admin.id}`,
      actor_name: admin.name,
      verb: 'agent.command',
      agent_id: link?.agentId,
      details: { command_id: target?.command_id, operation: 'agent.ping', target_id: run.id, via: 'bulk' },
    },
  ]);
});

it('keeps what is asked sealed while it waits, and forgets it when the last target has started', async () => {
  const links = await connected(2);
  const run = await bulk.parts.runs.create(pingRun({ ...taskRun('echo canary'), concurrency: 1 }), admin);
  await bulk.untilTargets(run.id, 'started', 1);
  const runs = new BulkRunsRepository(bulk.control.parts.db);
  const { content } = (await runs.find(run.id)) ?? {};
  expect(content?.byteLength).toBeGreaterThan(100);
  expect(Buffer.from(content ?? '').includes('canary')).toBe(false);
  await end(links[0], ERROR);
  expect(await bulk.control.delivered(links[1] ?? never(), 1)).toMatchObject([
    { payload: { params: { instructions: 'echo canary' } } },
  ]);
  await eventually(() => runs.find(run.id), { what: 'the content to go', until: (row) => row?.content === null });
});

function never(): never {
  throw new Error('not there');
}

async function auditOf(result: string) {
  const { records } = await bulk.parts.audit.list({ filter: {}, limit: 50 });
  return records.filter((record) => record.result === result);
}

import { scaled, settle, withSeed } from '@drawbridge/testkit';
import type { SeededRandom } from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import { BulkFixture, pingRun, taskRun } from './bulk-fixture.ts';
import { BulkWorld } from './bulk-world-fixture.ts';
import { isRunFinal } from './run-state.ts';
import { isFailure } from './target-state.ts';

const STORIES = scaled(5, 2);
/** Then every machine is there, and answers. */
const WILD_STEPS = 30;
const STEPS_MAX = 600;

it(
  'starts no target twice, none too many at once and none too late, whatever ends how, and whenever it is killed',
  () =>
    withSeed(async (random) => {
      for (let story = 0; story < STORIES; story += 1) await tell(random, story % 2 === 0);
    }),
  STORIES * 20_000,
);

async function tell(random: SeededRandom, isOfTasks: boolean): Promise<void> {
  await using bulk = await BulkFixture.make();
  const world = new BulkWorld(bulk, random);
  await world.addMachines(random.integer(2, 9));
  for (const machine of world.machines) if (random.next() < 0.7) await world.connect(machine);
  const wanted = pingRun({
    ...(isOfTasks ? taskRun('true') : {}),
    concurrency: random.integer(1, 4),
    failuresMax: random.pick([null, 0, 1, 2]),
    queueIfOffline: random.next() < 0.5,
  });
  const { id } = await bulk.parts.runs.create(wanted, await bulk.person());
  const cancelAt = random.next() < 0.2 ? random.integer(0, WILD_STEPS) : undefined;
  for (let step = 0; ; step += 1) {
    expect(step).toBeLessThan(STEPS_MAX);
    if (step === cancelAt) await bulk.parts.runs.cancel(id);
    await (step < WILD_STEPS ? wildStep(bulk, world, random) : calmStep(bulk, world));
    for (let turn = random.integer(0, 4); turn > 0; turn -= 1) await settle();
    const { started } = await countsOf(bulk, id);
    expect(started).toBeLessThanOrEqual(wanted.concurrency);
    expect(await unfinishedCommands(bulk)).toBeLessThanOrEqual(wanted.concurrency);
    if (step >= WILD_STEPS && (await hasEnded(bulk, id))) break;
  }
  await checkEnd(bulk, world, id);
}

async function wildStep(bulk: BulkFixture, world: BulkWorld, random: SeededRandom): Promise<void> {
  const machine = random.pick(world.machines);
  const chance = random.next();
  if (chance < 0.4) await world.answer();
  else if (chance < 0.6) await world.connect(machine);
  else if (chance < 0.7) await world.disconnect(machine);
  else if (chance < 0.9) await bulk.control.clock.advance(random.integer(0, 3_000));
  else await world.crash(random.integer(0, 6));
}

async function calmStep(bulk: BulkFixture, world: BulkWorld): Promise<void> {
  for (const machine of world.machines) await world.connect(machine);
  await world.answer();
  await bulk.control.clock.advance(1_000);
}

async function checkEnd(bulk: BulkFixture, world: BulkWorld, id: string): Promise<void> {
  const run = await bulk.control.parts.db
    .selectFrom('bulk_runs')
    .selectAll()
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  const targets = await bulk.targets(id);
  const commands = await bulk.control.parts.db.selectFrom('commands').select(['id', 'agent_id']).execute();
  // Each stored command belongs to one target, each agent has one at most, and is told of no other.
  expect(commands.map((command) => command.id).toSorted()).toEqual(
    targets.flatMap(({ command_id: commandId }) => commandId ?? []).toSorted(),
  );
  expect(new Set(commands.map(({ agent_id: agentId }) => agentId)).size).toBe(commands.length);
  for (const { agent_id: agentId, command_id: commandId } of targets) {
    expect(world.commandsOf(agentId).filter((told) => told !== commandId)).toEqual([]);
  }
  const failures = targets.filter(({ state }) => isFailure(state)).length;
  const failuresMax = run.failures_max ?? Number.POSITIVE_INFINITY;
  if (run.state === 'stopped') expect(failures).toBeGreaterThan(failuresMax);
  else if (run.state !== 'cancelled') expect(targets.filter(({ state }) => state === 'skipped')).toEqual([]);
  // What was under way when it was one too many may have failed too.
  expect(failures).toBeLessThanOrEqual(failuresMax + run.concurrency);
  expect({ content: run.content, refused: targets.some(({ state }) => state === 'refused') }).toEqual({
    content: null,
    refused: false,
  });
  expect(run.state === 'succeeded').toBe(targets.every(({ state }) => state === 'succeeded'));
  const { records } = await bulk.parts.audit.list({ filter: {}, limit: 100 });
  const recorded = new Set(records.map(({ details }) => details['command_id']));
  expect(recorded).toEqual(new Set(commands.map((command) => command.id)));
}

async function countsOf(bulk: BulkFixture, id: string): Promise<{ started: number }> {
  const targets = await bulk.targets(id);
  return { started: targets.filter(({ state }) => state === 'started').length };
}

async function unfinishedCommands(bulk: BulkFixture): Promise<number> {
  const rows = await bulk.control.parts.db.selectFrom('commands').select('id').where('ended_at', 'is', null).execute();
  return rows.length;
}

async function hasEnded(bulk: BulkFixture, id: string): Promise<boolean> {
  const row = await bulk.control.parts.db
    .selectFrom('bulk_runs')
    .select('state')
    .where('id', '=', id)
    .executeTakeFirst();
  return row !== undefined && isRunFinal(row.state);
}

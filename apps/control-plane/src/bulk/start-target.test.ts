import { afterEach, beforeEach, expect, it } from 'vitest';
import { BulkRunsRepository } from '../store/bulk-runs-repository.ts';
import type { BulkRunRow } from '../store/bulk-runs-repository.ts';
import { BulkTargetsRepository } from '../store/bulk-targets-repository.ts';
import type { BulkTargetRow } from '../store/bulk-targets-repository.ts';
import { BulkFixture, pingRun, taskRun } from './bulk-fixture.ts';
import type { NewBulkRun } from './new-bulk-run.ts';
import { startTarget } from './start-target.ts';
import type { StartParts } from './start-target.ts';

let bulk: BulkFixture;
beforeEach(async () => {
  bulk = await BulkFixture.make();
  // Nobody but the test starts a target.
  bulk.parts.stop.abort(new Error('not in this test'));
  await bulk.parts.running;
});
afterEach(() => bulk[Symbol.asyncDispose]());

function parts(more: Partial<StartParts> = {}): StartParts {
  const { db, commands, tasks, presence, box } = bulk.control.parts;
  const { principals } = bulk.parts;
  return {
    db,
    commands,
    tasks,
    presence,
    box,
    principals,
    clock: bulk.control.clock,
    isReturning: () => false,
    ...more,
  };
}

/** A run of one target that waits, as the engine has read both. */
async function waiting(more: Partial<NewBulkRun> = {}): Promise<[BulkRunRow, BulkTargetRow]> {
  await bulk.addAgent('a');
  const { id } = await bulk.parts.runs.create(pingRun({ queueIfOffline: true, ...more }), await bulk.person());
  const { db } = bulk.control.parts;
  const run = await new BulkRunsRepository(db).find(id);
  const [target] = await new BulkTargetsRepository(db).list(id, { limit: 1, after: -1 }, { labels: [[]] });
  if (run === undefined || target === undefined) throw new Error('not stored');
  return [run, target];
}

async function stored(): Promise<{ commands: number; tasks: number }> {
  const { db } = bulk.control.parts;
  const commands = await db.selectFrom('commands').select('id').execute();
  return { commands: commands.length, tasks: (await db.selectFrom('tasks').select('id').execute()).length };
}

it.each([
  ['command', {}, { commands: 1, tasks: 0 }],
  ['task', taskRun('true'), { commands: 1, tasks: 1 }],
])('stores one %s, however often a target is started', async (_what, more, expected) => {
  const [run, target] = await waiting(more);
  expect(await startTarget(parts(), run, target)).toBe('started');
  expect(await startTarget(parts(), run, target)).toBe('later');
  expect(await stored()).toEqual(expected);
});

it.each([
  ['command', {}],
  ['task', taskRun('true')],
])('stores no %s for a run that was cancelled meanwhile', async (_what, more) => {
  const [run, target] = await waiting(more);
  await bulk.parts.runs.cancel(run.id);
  expect(await startTarget(parts(), run, target)).toBe('later');
  expect(await stored()).toEqual({ commands: 0, tasks: 0 });
});

it('does not call an agent offline that has started and gone right then', async () => {
  const [run, target] = await waiting({ queueIfOffline: false });
  const link = await bulk.control.attach(target.agent_id);
  const { commands } = bulk.control.parts;
  // The link goes while the command is written: it is stored, and refused after that.
  const create: StartParts['commands']['create'] = (wanted, actor, alongside) =>
    commands.create(wanted, actor, async (db, command) => {
      await alongside?.(db, command);
      bulk.control.parts.presence.detach(link);
    });
  expect(await startTarget(parts({ commands: { create } }), run, target)).toBe('ended');
  const [after] = await bulk.targets(run.id);
  expect(after).toMatchObject({ state: 'started', error: null });
  expect(await commands.get(after?.command_id ?? '')).toMatchObject({ state: 'failed', error_code: 'agent_offline' });
});

it('fails for an agent that was revoked, and says so', async () => {
  const [run, target] = await waiting();
  const { db } = bulk.control.parts;
  await db.updateTable('agents').set({ status: 'revoked' }).where('agent_id', '=', target.agent_id).execute();
  expect(await startTarget(parts(), run, target)).toBe('ended');
  expect(await bulk.targets(run.id)).toMatchObject([{ state: 'failed', error: { code: 'agent_not_found' } }]);
});

it('is refused for somebody who is gone', async () => {
  const [run, target] = await waiting();
  const nobody = { byText: () => Promise.resolve(undefined) };
  expect(await startTarget(parts({ principals: nobody }), run, target)).toBe('ended');
  expect(await bulk.targets(run.id)).toMatchObject([{ state: 'refused', error: { code: 'forbidden' } }]);
});

import { afterEach, beforeEach, expect, it } from 'vitest';
import { advanceRun } from './advance-run.ts';
import type { AdvanceParts } from './advance-run.ts';
import { BulkFixture, pingRun } from './bulk-fixture.ts';

const GO_ON = new AbortController().signal;

let bulk: BulkFixture;
let runId: string;
beforeEach(async () => {
  bulk = await BulkFixture.make();
  // Only the test takes steps.
  bulk.parts.stop.abort(new Error('not in this test'));
  await bulk.parts.running;
  await bulk.addAgent('a');
  runId = (await bulk.parts.runs.create(pingRun({ queueIfOffline: true }), await bulk.person())).id;
});
afterEach(() => bulk[Symbol.asyncDispose]());

function parts(more: Partial<AdvanceParts> = {}): AdvanceParts {
  const { db, commands, tasks, presence, box } = bulk.control.parts;
  const { principals, audit } = bulk.parts;
  const common = { db, commands, tasks, presence, box, principals, audit, clock: bulk.control.clock };
  return { ...common, isReturning: () => false, watch: () => false, unwatch: () => undefined, ...more };
}

it('asks for another look where nobody listened: the command may have ended just before', async () => {
  expect(await advanceRun(parts(), runId, GO_ON)).toBe(true);
  expect(await advanceRun(parts({ watch: () => true }), runId, GO_ON)).toBe(true);
  expect(await advanceRun(parts({ watch: () => false }), runId, GO_ON)).toBe(false);
});

it('starts nothing when the control plane is about to stop', async () => {
  expect(await advanceRun(parts(), runId, AbortSignal.abort(new Error('stopping')))).toBe(false);
  expect(await bulk.targets(runId)).toMatchObject([{ state: 'waiting' }]);
});

it('starts nothing more while the audit log takes no record', async () => {
  await bulk.addAgent('b');
  const wanted = pingRun({ queueIfOffline: true, concurrency: 1 });
  const { id } = await bulk.parts.runs.create(wanted, await bulk.person());
  await advanceRun(parts(), id, GO_ON);
  const audit = { record: () => Promise.reject(new Error('the log is full')) };
  await expect(advanceRun(parts({ audit }), id, GO_ON)).rejects.toThrow('the log is full');
  expect((await bulk.targets(id)).map(({ state }) => state)).toEqual(['started', 'waiting']);
});

import { BULK_LIMITS } from '@drawbridge/protocol/api';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { newAgentRow } from '../agents/new-agent-row.ts';
import type { Actor } from '../operators/actor.ts';
import { BulkFixture, pingRun } from './bulk-fixture.ts';
import { BULK_ENGINE_LIMITS } from './limits.ts';

let bulk: BulkFixture;
let admin: Actor;
beforeEach(async () => {
  bulk = await BulkFixture.make();
  admin = await bulk.person();
});
afterEach(() => bulk[Symbol.asyncDispose]());

describe('the agents of a run', () => {
  it('are those the selector selects, by name, as they are when it is made', async () => {
    await bulk.addAgent('b', { site: 'lab' });
    await bulk.addAgent('a', { site: 'lab' });
    await bulk.addAgent('c', { site: 'home' });
    const choice = { kind: 'selector', selector: 'site=lab' } as const;
    const { id } = await bulk.parts.runs.create(pingRun({ choice }), admin);
    await bulk.addAgent('later', { site: 'lab' });
    expect((await bulk.targets(id)).map(({ agent_name: name }) => name)).toEqual(['a', 'b']);
  });

  it('are those that were named, by id or name, each once, in their order', async () => {
    const first = await bulk.addAgent('a');
    await bulk.addAgent('b');
    const choice = { kind: 'agents', agents: ['b', first, 'a', 'b'] } as const;
    const { id } = await bulk.parts.runs.create(pingRun({ choice }), admin);
    expect((await bulk.targets(id)).map(({ agent_name: name }) => name)).toEqual(['b', 'a']);
  });

  it('are who has an id, not who took it for a name', async () => {
    const real = await bulk.addAgent('a');
    const impostor = await bulk.addAgent(real);
    const choice = { kind: 'agents', agents: [real, impostor] } as const;
    const { id } = await bulk.parts.runs.create(pingRun({ choice }), admin);
    expect((await bulk.targets(id)).map(({ agent_id: agentId }) => agentId)).toEqual([real, impostor]);
  });

  it.each([
    { kind: 'agents', agents: ['a', 'nobody'] },
    { kind: 'agents', agents: ['a', 'hidden'] },
    { kind: 'selector', selector: 'site=hidden' },
  ] as const)('are refused where one is not there, or may not be seen: %j', async (choice) => {
    await bulk.addAgent('a', { site: 'lab' });
    await bulk.addAgent('hidden', { site: 'hidden' });
    const operator = await bulk.person('operator', 'site=lab');
    await expect(bulk.parts.runs.create(pingRun({ choice }), operator)).rejects.toMatchObject({
      code: 'agent_not_found',
    });
  });

  it('are so many at most', async () => {
    const { db } = bulk.control.parts;
    const rows = Array.from({ length: BULK_LIMITS.targetsMax + 1 }, (_, index) => {
      const row = newAgentRow({ agentId: `id-${index}`, name: `n${index}`, labels: {}, now: '' });
      return { ...row, auth_token_hash: '' };
    });
    for (let start = 0; start < rows.length; start += 500) {
      await db
        .insertInto('agents')
        .values(rows.slice(start, start + 500))
        .execute();
    }
    await expect(bulk.parts.runs.create(pingRun(), admin)).rejects.toMatchObject({ code: 'invalid_request' });
    await db.deleteFrom('agents').where('agent_id', '=', 'id-7').execute();
    const { targets } = await bulk.parts.runs.create(pingRun(), admin);
    expect(targets.waiting).toBe(BULK_LIMITS.targetsMax);
  });
});

it('counts and shows only the targets that the caller may see', async () => {
  await bulk.addAgent('a', { site: 'lab' });
  await bulk.addAgent('b', { site: 'home' });
  const run = await bulk.parts.runs.create(pingRun(), admin);
  await bulk.until(run.id, 'failed');
  const viewer = await bulk.person('viewer', 'site=home');
  const seen = await bulk.parts.runs.find(run.id, viewer);
  expect(seen.targets).toMatchObject({ failed: 1 });
  const rows = await bulk.parts.runs.targets(seen, { limit: 10, after: -1 }, { state: undefined }, viewer);
  expect(rows).toMatchObject([{ agent_name: 'b' }]);
});

it('pages through targets, and finds those in one state', async () => {
  for (const name of ['a', 'b', 'c']) await bulk.addAgent(name);
  const run = await bulk.parts.runs.create(pingRun(), admin);
  await bulk.until(run.id, 'failed');
  const { runs } = bulk.parts;
  const page = { limit: 2, after: 0 };
  expect(await runs.targets(run, page, { state: 'failed' }, admin)).toMatchObject([{ position: 1 }, { position: 2 }]);
  expect(await runs.targets(run, page, { state: 'succeeded' }, admin)).toEqual([]);
});

it('has so many unfinished runs at most', async () => {
  await bulk.addAgent('away');
  const queued = pingRun({ queueIfOffline: true });
  const { db } = bulk.control.parts;
  const { id } = await bulk.parts.runs.create(queued, admin);
  const row = await db.selectFrom('bulk_runs').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
  const others = Array.from({ length: BULK_ENGINE_LIMITS.runsMax - 1 }, (_, index) => ({ ...row, id: `run-${index}` }));
  await db.insertInto('bulk_runs').values(others).execute();
  await expect(bulk.parts.runs.create(queued, admin)).rejects.toMatchObject({ code: 'queue_full' });
});

it('leaves a run that has ended as it is when it is cancelled', async () => {
  await bulk.addAgent('away');
  const run = await bulk.parts.runs.create(pingRun(), admin);
  await bulk.until(run.id, 'failed');
  await bulk.parts.runs.cancel(run.id);
  expect(await bulk.parts.runs.find(run.id, admin)).toMatchObject({ state: 'failed' });
});

import { parseSelector } from '@drawbridge/protocol';
import type { Labels } from '@drawbridge/protocol';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { newAgentRow } from '../agents/new-agent-row.ts';
import { AgentsRepository } from '../store/agents-repository.ts';
import { AuditFixture, entry } from './audit-fixture.ts';
import type { AuditQuery } from './list-records.ts';

let audit: AuditFixture;
beforeEach(async () => {
  audit = await AuditFixture.make();
});
afterEach(() => audit[Symbol.asyncDispose]());

const list = (query: Partial<AuditQuery>) => audit.log.list({ filter: {}, limit: 50, ...query });
async function seqs(query: Partial<AuditQuery>): Promise<number[]> {
  return (await list(query)).records.map(({ seq }) => seq);
}

it('pages from the newest to the oldest, each record once', async () => {
  await audit.fill(7);
  const first = await list({ limit: 3 });
  const second = await list({ limit: 3, beforeSeq: first.nextSeq ?? undefined });
  const third = await list({ limit: 3, beforeSeq: second.nextSeq ?? undefined });
  expect([first, second, third].map(({ records }) => records.map(({ seq }) => seq))).toEqual([
    [7, 6, 5],
    [4, 3, 2],
    [1],
  ]);
  expect(third.nextSeq).toBeNull();
  expect((await list({ limit: 7 })).nextSeq).toBeNull();
});

it('narrows to an actor, a verb, an agent, a resource, a result and a time', async () => {
  await audit.log.record(entry({ actor: 'token:t1' }));
  await audit.log.record(entry({ verb: 'task.run' }));
  await audit.log.record(entry({ agentId: 'a2', resource: 'task:t9' }));
  await audit.clock.advance(60_000);
  const since = new Date(audit.clock.now()).toISOString();
  await audit.log.record(entry({ result: 'denied', verb: 'task.run' }));
  expect(await seqs({ filter: { actor: 'token:t1' } })).toEqual([1]);
  expect(await seqs({ filter: { verb: 'task.run' } })).toEqual([4, 2]);
  expect(await seqs({ filter: { agentId: 'a2' } })).toEqual([3]);
  expect(await seqs({ filter: { resource: 'task:t9' } })).toEqual([3]);
  expect(await seqs({ filter: { result: 'denied' } })).toEqual([4]);
  expect(await seqs({ filter: { since } })).toEqual([4]);
  expect(await seqs({ filter: { until: since } })).toEqual([3, 2, 1]);
  expect(await seqs({ filter: { verb: 'task.run', until: since } })).toEqual([2]);
});

describe('a caller whose right is limited to some agents', () => {
  const scope = (text: string) => ({ filter: { scope: text.split(' or ').map(parseSelector) } });

  beforeEach(async () => {
    await addAgent('a1', { site: 'lab' });
    await addAgent('a2', { site: 'home' });
    for (const agentId of ['a1', 'a2', 'a1', null, 'gone']) await audit.log.record(entry({ agentId }));
  });

  it('sees the records of those, and none about no agent', async () => {
    expect(await seqs(scope('site=lab'))).toEqual([3, 1]);
    expect(await seqs(scope('site!=lab'))).toEqual([2]);
    expect(await seqs(scope('site=lab or site=home'))).toEqual([3, 2, 1]);
    expect(await seqs({ filter: { scope: [parseSelector('site=lab')], agentId: 'a2' } })).toEqual([]);
  });

  it('gets full pages of them', async () => {
    const first = await list({ ...scope('site=lab'), limit: 1 });
    expect(first).toMatchObject({ records: [{ seq: 3 }], nextSeq: 3 });
    expect(await list({ ...scope('site=lab'), limit: 1, beforeSeq: 3 })).toMatchObject({ records: [{ seq: 1 }] });
  });

  it('sees nothing when there are none, and everything when one right is not limited', async () => {
    expect(await seqs({ filter: { scope: [] } })).toEqual([]);
    expect(await seqs({ filter: { scope: [parseSelector('site=lab'), []] } })).toEqual([5, 4, 3, 2, 1]);
  });
});

it('leaves out a row that was tampered with beyond reading', async () => {
  await audit.fill(3);
  await audit.db.updateTable('audit_records').set({ details: '{' }).where('seq', '=', 2).execute();
  expect(await seqs({})).toEqual([3, 1]);
});

async function addAgent(agentId: string, labels: Labels): Promise<void> {
  const row = newAgentRow({ agentId, name: agentId, labels, now: '2026-01-07T10:00:00.000Z' });
  await new AgentsRepository(audit.db).insert({ ...row, auth_token_hash: '' });
}

import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ControlPlaneFixture } from '../control-plane-fixture.ts';
import { AgentsRepository } from './agents-repository.ts';
import { CommandsRepository } from './commands-repository.ts';
import { JournalsRepository } from './journals-repository.ts';

const FACTS = { version: '1', os: 'linux', arch: 'x64', capabilities: '[]' };
const LATER = '2026-01-07T11:00:00.000Z';

let control: ControlPlaneFixture;
let agents: AgentsRepository;
let agentId: string;
beforeEach(async () => {
  control = await ControlPlaneFixture.make();
  agents = new AgentsRepository(control.parts.db);
  agentId = await control.addAgent('build-1');
});
afterEach(() => control[Symbol.asyncDispose]());

it('gives every connection of an agent the next epoch', async () => {
  expect(await agents.connect(agentId, FACTS, LATER)).toBe(1);
  expect(await agents.connect(agentId, FACTS, LATER)).toBe(2);
  expect(await agents.find(agentId)).toMatchObject({ status: 'connected', epoch: 2, os: 'linux', connected_at: LATER });
});

it('lets no older connection take an agent offline', async () => {
  await agents.connect(agentId, FACTS, LATER);
  await agents.connect(agentId, FACTS, LATER);
  await agents.disconnect({ agentId, epoch: 1 }, LATER);
  expect(await agents.find(agentId)).toMatchObject({ status: 'connected', disconnected_at: null });
  await agents.disconnect({ agentId, epoch: 2 }, LATER);
  expect(await agents.find(agentId)).toMatchObject({ status: 'disconnected', disconnected_at: LATER });
});

it('lets no older connection, and no other agent, move a command', async () => {
  const row = await control.create(agentId);
  const commands = new CommandsRepository(control.parts.db);
  await agents.connect(agentId, FACTS, LATER);
  await agents.connect(agentId, FACTS, LATER);
  const otherId = await control.addAgent('other');
  await agents.connect(otherId, FACTS, LATER);
  const move = { id: row.id, from: ['queued'], set: { state: 'delivered' } } as const;
  for (const fence of [
    { agentId, epoch: 1 },
    { agentId, epoch: 3 },
    { agentId: otherId, epoch: 1 },
  ]) {
    expect(await commands.move({ ...move, fence })).toBeUndefined();
  }
  expect(await commands.find(row.id)).toEqual(row);
  expect(await commands.move({ ...move, fence: { agentId, epoch: 2 } })).toMatchObject({ state: 'delivered' });
  expect(await commands.move({ ...move, fence: { agentId, epoch: 2 } })).toBeUndefined();
});

it('revokes for good: its connection counts no more, and its name is free', async () => {
  await agents.connect(agentId, FACTS, LATER);
  const row = await control.create(agentId);
  expect(await agents.revoke(agentId, LATER)).toBe(true);
  expect(await agents.revoke(agentId, LATER)).toBe(false);
  expect(await agents.connect(agentId, FACTS, LATER)).toBeUndefined();
  const fence = { agentId, epoch: 1 };
  const move = { id: row.id, from: ['queued'], set: { state: 'delivered' }, fence } as const;
  expect(await new CommandsRepository(control.parts.db).move(move)).toBeUndefined();
  await control.addAgent('build-1');
  expect(await agents.list({ limit: 10, cursor: undefined }, [], undefined)).toMatchObject([
    { name: 'build-1', status: 'disconnected' },
  ]);
});

it('forgets at a start who was connected when the last process died', async () => {
  await agents.connect(agentId, FACTS, LATER);
  await control.restart();
  expect(await new AgentsRepository(control.parts.db).find(agentId)).toMatchObject({
    status: 'disconnected',
    epoch: 1,
  });
});

it('stores an event once for each journal, and remembers the last', async () => {
  const journals = new JournalsRepository(control.parts.db);
  const [first, second] = [randomUUID(), randomUUID()];
  const event = (journalId: string, seq: number) => ({
    id: randomUUID(),
    agentId,
    journalId,
    seq,
    kind: 'warning',
    data: '{}',
  });
  expect(await journals.lastSeq(agentId, first, LATER)).toBe(0);
  expect(await journals.lastSeq(agentId, second, LATER)).toBe(0);
  expect(await journals.append(event(first, 1), LATER)).toBe(true);
  expect(await journals.append(event(first, 3), LATER)).toBe(true);
  expect(await journals.append(event(first, 2), LATER)).toBe(true);
  expect(await journals.append(event(first, 3), LATER)).toBe(false);
  expect(await journals.append(event(second, 1), LATER)).toBe(true);
  expect(await journals.lastSeq(agentId, first, LATER)).toBe(3);
  expect(await journals.lastSeq(agentId, second, LATER)).toBe(1);
});

it('writes many heartbeats at once', async () => {
  const otherId = await control.addAgent('other');
  await agents.touchHeartbeats([agentId, otherId], LATER);
  expect(await agents.list({ limit: 10, cursor: undefined }, [], undefined)).toMatchObject([
    { last_heartbeat: LATER },
    { last_heartbeat: LATER },
  ]);
});

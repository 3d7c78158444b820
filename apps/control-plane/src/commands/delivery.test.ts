import { randomUUID } from 'node:crypto';
import { ControlError, LIMITS } from '@drawbridge/protocol';
import { eventually } from '@drawbridge/testkit';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ControlPlaneFixture, taskStart } from '../control-plane-fixture.ts';
import { CommandsRepository } from '../store/commands-repository.ts';
import type { CommandRow } from '../store/commands-repository.ts';
import { Delivery } from './delivery.ts';

let control: ControlPlaneFixture;
let agentId: string;
const journalId = randomUUID();
beforeEach(async () => {
  control = await ControlPlaneFixture.make();
  agentId = await control.addAgent();
});
afterEach(() => control[Symbol.asyncDispose]());

it('sends what waited, oldest first, when the agent comes', async () => {
  const rows = [];
  for (const echo of ['first', 'second', 'third']) {
    rows.push(await control.create(agentId, { params: { echo } }));
  }
  const link = await control.connect(agentId, { journalId });
  const sent = await control.delivered(link, 3);
  expect(sent.map(({ id }) => id)).toEqual(rows.map(({ id }) => id));
  expect(sent.map(({ payload }) => payload)).toMatchObject([
    { operation: 'agent.ping', params: { echo: 'first' } },
    { params: { echo: 'second' } },
    { params: { echo: 'third' } },
  ]);
  expect(await control.parts.commands.get(rows[0]?.id ?? '')).toMatchObject({
    state: 'delivered',
    journal_id: journalId,
  });
});

it('sends at once to an agent that is there', async () => {
  const link = await control.connect(agentId);
  await control.create(agentId, { queueIfOffline: false });
  await control.delivered(link, 1);
});

it('counts the time limit from the delivery', async () => {
  await control.create(agentId, { timeoutSeconds: 10, ttlSeconds: 3_600 });
  await control.clock.advance(60_000);
  const link = await control.connect(agentId);
  expect(await control.delivered(link, 1)).toMatchObject([{ payload: { remaining_ms: 10_000 } }]);
  await control.disconnect(link);
  await control.clock.advance(4_000);
  const next = await control.connect(agentId, { journalId: link.journalId });
  expect(await control.delivered(next, 1)).toMatchObject([{ payload: { remaining_ms: 6_000 } }]);
});

it('has only so many commands under way, and goes on with every `started`', async () => {
  for (let count = 0; count < LIMITS.commandsInFlightMax + 3; count += 1) await control.create(agentId);
  const link = await control.connect(agentId);
  const sent = await control.delivered(link, LIMITS.commandsInFlightMax);
  for (const { id } of sent.slice(0, 2)) await control.parts.inbox.started(link, id ?? '');
  await control.delivered(link, LIMITS.commandsInFlightMax + 2);
  await control.parts.inbox.ended(link, sent[2]?.id ?? '', { status: 'cancelled' });
  await control.delivered(link, LIMITS.commandsInFlightMax + 3);
});

it('sends again what the last connection did not settle', async () => {
  const ping = await control.create(agentId);
  const task = await control.create(agentId, taskStart('echo hello'));
  const lost = await control.connect(agentId, { journalId });
  await control.delivered(lost, 2);
  await control.disconnect(lost);
  const link = await control.connect(agentId, { journalId });
  expect(await control.delivered(link, 2)).toMatchObject([
    { id: ping.id },
    { id: task.id, payload: { params: { instructions: 'echo hello' } } },
  ]);
});

it('only asks for the outcome of what the agent has begun', async () => {
  const task = await control.create(agentId, taskStart());
  const lost = await control.connect(agentId, { journalId });
  await control.delivered(lost, 1);
  await control.parts.inbox.started(lost, task.id);
  await control.restart();
  const link = await control.connect(agentId, { journalId });
  const [sent] = await control.delivered(link, 1);
  expect(sent).toMatchObject({ id: task.id, payload: { operation: 'task.start' } });
  expect(sent?.payload).toHaveProperty('params', undefined);
});

it.each(['delivered', 'running'])('gives up a `once` command that was %s under another journal', async (state) => {
  const task = await control.create(agentId, taskStart());
  const lost = await control.connect(agentId);
  await control.delivered(lost, 1);
  if (state === 'running') await control.parts.inbox.started(lost, task.id);
  await control.disconnect(lost);
  const link = await control.connect(agentId);
  expect(await control.parts.commands.get(task.id)).toMatchObject({
    state: 'indeterminate',
    error_code: 'indeterminate',
    content: null,
  });
  expect(link.sent).toEqual([]);
});

it.each([
  ['read', 'agent.ping', {}],
  ['idempotent', 'tunnel.close', { tunnel_id: randomUUID(), reason: 'done' }],
] as const)('sends a %s command to another journal once more', async (_effect, operation, params) => {
  const row = await control.create(agentId, { operation, params });
  const lost = await control.connect(agentId);
  await control.delivered(lost, 1);
  await control.parts.inbox.started(lost, row.id);
  await control.disconnect(lost);
  const link = await control.connect(agentId, { journalId });
  expect(await control.delivered(link, 1)).toMatchObject([{ id: row.id, payload: { params } }]);
  expect(await control.parts.commands.get(row.id)).toMatchObject({ state: 'delivered', journal_id: journalId });
});

it('delivers nothing to an old copy of a journal', async () => {
  await control.create(agentId);
  const link = await control.connect(agentId, { journalOutdated: true });
  await control.create(agentId);
  control.parts.delivery.wake(agentId);
  const next = await control.connect(agentId);
  await control.delivered(next, 2);
  expect(link.sent).toEqual([]);
});

it('says once more that a command was cancelled, before the command', async () => {
  const row = await control.create(agentId);
  const lost = await control.connect(agentId, { journalId });
  await control.delivered(lost, 1);
  await control.disconnect(lost);
  await control.parts.commands.cancel(row.id);
  const link = await control.connect(agentId, { journalId });
  await control.delivered(link, 1);
  expect(link.sent.map(({ type }) => type)).toEqual(['cancel', 'command']);
});

it('sends what it has moved, though the answer of the commit was lost', async () => {
  const { commands } = control.parts;
  const move = commands.move.bind(commands);
  vi.spyOn(commands, 'move').mockImplementationOnce(async (...args) => {
    await move(...args);
    throw new ControlError('store_unavailable', 'the connection was lost');
  });
  const row = await control.create(agentId);
  const link = await control.connect(agentId);
  await eventually(() => control.clock.pending > 0, { what: 'the pause before the next try' });
  expect(await control.state(row.id)).toBe('delivered');
  expect(link.sent).toEqual([]);
  await control.clock.advance(1_000);
  expect(await control.delivered(link, 1)).toMatchObject([{ id: row.id }]);
});

it('sends a command whose commit was never answered', async () => {
  const link = await control.connect(agentId);
  const { db } = control.parts;
  vi.spyOn(db, 'transaction').mockImplementationOnce(() => {
    vi.restoreAllMocks();
    const transaction = db.transaction();
    const execute = transaction.execute.bind(transaction);
    transaction.execute = async (callback) => {
      await execute(callback);
      throw new ControlError('store_unavailable', 'the connection was lost');
    };
    return transaction;
  });
  await expect(control.create(agentId)).rejects.toMatchObject({ code: 'store_unavailable' });
  await control.delivered(link, 1);
});

it('lets expire what waited too long', async () => {
  const row = await control.create(agentId, { ttlSeconds: 10 });
  await control.clock.advance(10_000);
  const link = await control.connect(agentId);
  await eventually(() => control.state(row.id), { what: 'the end', until: (state) => state === 'expired' });
  expect(link.sent).toEqual([]);
});

it('sends nothing by way of a connection that was replaced', async () => {
  const old = await control.attach(agentId, { journalId });
  const row = await control.create(agentId);
  const link = await control.attach(agentId, { journalId });
  await Promise.all([control.parts.delivery.linkUp(old), control.parts.delivery.linkUp(link)]);
  await control.delivered(link, 1);
  expect(await control.state(row.id)).toBe('delivered');
});

it('sends nothing new by way of a connection that was not yet told what was under way', async () => {
  const { delivery } = control.parts;
  const link = await control.attach(agentId, { journalId });
  const row = await control.create(agentId);
  // Each look at the store is answered after those before it, the queue's among them.
  for (let looks = 0; looks < 5; looks += 1) expect(await control.state(row.id)).toBe('queued');
  expect(link.sent).toEqual([]);
  await delivery.linkUp(link);
  expect(await control.delivered(link, 1)).toMatchObject([{ id: row.id }]);
});

it.each([0, 1, 2, 3, 4, 5])(
  'misses no wake-up that comes %i microtasks after its last look at the queue',
  async (ticks) => {
    const sent: (string | undefined)[] = [];
    const second: Partial<CommandRow> = { id: randomUUID() };
    // The second command is stored while the first is on its way: after the pump has looked, before it is done.
    control.parts.commands.observe('agent.ping', async (db, row) => {
      if (row.id !== second.id) await new CommandsRepository(db).insert({ ...row, ...second, state: 'queued' });
    });
    await control.connect(agentId, {
      send(_type, _payload, id) {
        sent.push(id);
        let tick = Promise.resolve();
        for (let count = 0; count < ticks; count += 1) tick = tick.then(() => undefined);
        void tick.then(() => control.parts.delivery.wake(agentId));
      },
    });
    const first = await control.create(agentId);
    await eventually(() => sent, { what: 'both commands', until: (ids) => ids.length === 2 });
    expect(sent).toEqual([first.id, second.id]);
  },
);

it('tells the agent to cancel, before it sends it again, what its maker may not have any more', async () => {
  const { parts, clock } = control;
  const refusals: string[] = [];
  const rights = {
    async refusal(row: CommandRow) {
      return refusals.includes(row.id) ? new ControlError('forbidden', 'gone') : undefined;
    },
  };
  const delivery = new Delivery(parts.commands, { ...parts, clock, rights });
  parts.commands.onPending((id) => delivery.wake(id));
  const row = await control.create(agentId, taskStart());
  const link = await control.attach(agentId, { journalId });
  await delivery.linkUp(link);
  await control.delivered(link, 1);
  await control.disconnect(link);
  refusals.push(row.id);
  const next = await control.attach(agentId, { journalId });
  await delivery.linkUp(next);
  expect(next.sent.map(({ type }) => type)).toEqual(['cancel', 'command']);
  expect(await parts.commands.get(row.id)).toMatchObject({ cancel_requested_at: expect.any(String) });
});

import { LIMITS } from '@drawbridge/protocol';
import type { Outcome } from '@drawbridge/protocol';
import { settle } from '@drawbridge/testkit';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ADMIN, ControlPlaneFixture, recordedLink, taskStart } from '../control-plane-fixture.ts';
import type { CommandObserver } from './command-service.ts';

const SUCCESS: Outcome = { status: 'success', data: { echo: 'hello' } };

let control: ControlPlaneFixture;
let agentId: string;
beforeEach(async () => {
  control = await ControlPlaneFixture.make();
  agentId = await control.addAgent();
});
afterEach(() => control[Symbol.asyncDispose]());

it('refuses at once what is not to be queued for an agent that is away, and stores nothing', async () => {
  const refused = control.create(agentId, { queueIfOffline: false });
  await expect(refused).rejects.toMatchObject({ code: 'agent_offline' });
  expect(await control.parts.db.selectFrom('commands').selectAll().execute()).toEqual([]);
});

it('stores a command before it is sent', async () => {
  control.parts.commands.onPending(() => undefined);
  const row = await control.create(agentId, { params: { echo: 'hello' } });
  expect(await control.parts.commands.get(row.id)).toEqual(row);
  expect(row).toMatchObject({
    state: 'queued',
    params: '{"echo":"hello"}',
    content: null,
    created_by: 'token:admin',
    expires_at: new Date(control.clock.now() + 3_600_000).toISOString(),
    deadline_at: new Date(control.clock.now() + 60_000).toISOString(),
  });
});

it('stores content sealed, gives it back, and erases it once the agent has begun', async () => {
  const row = await control.create(agentId, taskStart('echo secret words'));
  expect(row.params).toBeNull();
  expect(Buffer.from(row.content ?? []).toString('latin1')).not.toContain('secret');
  expect(control.parts.commands.paramsOf(row)).toMatchObject({ instructions: 'echo secret words' });
  const link = await control.connect(agentId);
  await control.delivered(link, 1);
  await control.parts.commands.started(link, row.id);
  const started = await control.parts.commands.get(row.id);
  expect(started).toMatchObject({ state: 'running', content: null });
  expect(control.parts.commands.paramsOf(started)).toBeUndefined();
});

it.each([SUCCESS, { status: 'cancelled' }, 'expired'] as const)('erases content at its end: %j', async (outcome) => {
  const row = await control.create(agentId, taskStart());
  await control.parts.commands.end(row.id, ['queued'], outcome);
  expect(await control.parts.commands.get(row.id)).toMatchObject({ content: null, ended_at: expect.any(String) });
});

it('refuses one command too many of an agent, and no other agent', async () => {
  const row = await control.create(agentId);
  const rows = Array.from({ length: LIMITS.commandsPerAgentMax - 1 }, (_item, index) => ({
    ...row,
    id: `${row.id.slice(0, 24)}${index.toString().padStart(12, '0')}`,
  }));
  for (let index = 0; index < rows.length; index += 100) {
    await control.parts.db
      .insertInto('commands')
      .values(rows.slice(index, index + 100))
      .execute();
  }
  await expect(control.create(agentId)).rejects.toMatchObject({ code: 'queue_full' });
  await control.create(await control.addAgent());
  await control.parts.commands.cancel(row.id);
  await control.create(agentId);
});

it('writes what goes along with a command, or neither', async () => {
  const wanted = { agentId, timeoutSeconds: 1, queueIfOffline: true, ttlSeconds: 1, hasDeadline: false } as const;
  const made = control.parts.commands.create({ ...wanted, operation: 'agent.ping', params: {} }, ADMIN, async () => {
    throw new Error('the other half fails');
  });
  await expect(made).rejects.toThrow('the other half fails');
  expect(await control.parts.db.selectFrom('commands').selectAll().execute()).toEqual([]);
});

it('tells the observer of every change, in the same transaction', async () => {
  const seen: string[] = [];
  const observer: CommandObserver = async (_db, command, outcome) => {
    seen.push(`${command.state} ${outcome?.status ?? '-'}`);
    if (command.state === 'succeeded') throw new Error('the observer cannot write');
  };
  control.parts.commands.observe('agent.ping', observer);
  const row = await control.create(agentId);
  const link = await control.connect(agentId);
  await control.delivered(link, 1);
  await control.parts.commands.started(link, row.id);
  await expect(control.parts.commands.ended(link, row.id, SUCCESS)).rejects.toThrow('the observer cannot write');
  expect(seen).toEqual(['delivered -', 'running -', 'succeeded success']);
  expect(await control.state(row.id)).toBe('running');
});

it('lets the first outcome stand', async () => {
  const row = await control.create(agentId);
  const link = await control.connect(agentId);
  await control.delivered(link, 1);
  await control.parts.commands.ended(link, row.id, SUCCESS);
  await control.parts.commands.ended(link, row.id, { status: 'cancelled' });
  await control.parts.commands.started(link, row.id);
  expect(await control.parts.commands.get(row.id)).toMatchObject({ state: 'succeeded', result: '{"echo":"hello"}' });
});

it('hears nothing from a connection that was replaced, nor from another agent', async () => {
  const row = await control.create(agentId);
  const old = await control.connect(agentId);
  await control.delivered(old, 1);
  await control.connect(agentId, { journalId: old.journalId });
  await control.parts.commands.ended(old, row.id, SUCCESS);
  const stranger = await control.connect(await control.addAgent());
  await control.parts.commands.ended(stranger, row.id, SUCCESS);
  await control.parts.commands.started(stranger, row.id);
  expect(await control.state(row.id)).toBe('delivered');
});

it('cancels at once what the agent has never seen', async () => {
  const row = await control.create(agentId);
  expect(await control.parts.commands.cancel(row.id)).toMatchObject({ state: 'cancelled' });
  const link = await control.connect(agentId);
  await settle();
  expect(link.sent).toEqual([]);
});

it('asks the agent to cancel what it has, and lets the outcome decide', async () => {
  const row = await control.create(agentId);
  const link = await control.connect(agentId);
  await control.delivered(link, 1);
  expect(await control.parts.commands.cancel(row.id)).toMatchObject({
    state: 'delivered',
    cancel_requested_at: expect.any(String),
  });
  expect(link.sent.at(-1)).toMatchObject({ type: 'cancel', payload: { command_id: row.id } });
  await control.parts.commands.ended(link, row.id, SUCCESS);
  expect(await control.parts.commands.cancel(row.id)).toMatchObject({ state: 'succeeded' });
  expect(link.sent.filter(({ type }) => type === 'cancel')).toHaveLength(1);
});

it('names a command that is not there', async () => {
  await expect(control.parts.commands.get('none')).rejects.toMatchObject({ code: 'command_not_found' });
  await expect(control.parts.commands.cancel('none')).rejects.toMatchObject({ code: 'command_not_found' });
});

it('wakes up who waits for an outcome', async () => {
  const row = await control.create(agentId);
  const waited = control.parts.commands.wait(row.id, new AbortController().signal);
  await control.parts.commands.cancel(row.id);
  expect(await waited).toMatchObject({ state: 'cancelled' });
  expect(control.clock.pending).toBe(0);
});

it('gives the command as it stands to who stops waiting', async () => {
  const row = await control.create(agentId);
  const over = new AbortController();
  const waited = control.parts.commands.wait(row.id, over.signal);
  over.abort();
  expect(await waited).toMatchObject({ state: 'queued' });
});

it('keeps a result that is too large out of the store', async () => {
  const row = await control.create(agentId);
  const link = await control.connect(agentId);
  await control.delivered(link, 1);
  await control.parts.commands.ended(link, row.id, { status: 'success', data: 'x'.repeat(LIMITS.resultBytesMax) });
  expect(await control.parts.commands.get(row.id)).toMatchObject({
    state: 'failed',
    result: null,
    error_code: 'result_too_large',
  });
});

it('changes nothing for a link that was never attached', async () => {
  const row = await control.create(agentId);
  await control.parts.commands.ended(recordedLink({ agentId, epoch: 7 }), row.id, SUCCESS);
  expect(await control.state(row.id)).toBe('queued');
});

import { ControlError } from '@drawbridge/protocol';
import { eventually } from '@drawbridge/testkit';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ControlPlaneFixture, taskStart } from '../control-plane-fixture.ts';
import { AgentsRepository } from '../store/agents-repository.ts';

let control: ControlPlaneFixture;
let agentId: string;
beforeEach(async () => {
  control = await ControlPlaneFixture.make();
  agentId = await control.addAgent();
});
afterEach(() => control[Symbol.asyncDispose]());

it('lets expire what waited for its agent too long, and not a millisecond earlier', async () => {
  const row = await control.create(agentId, { ttlSeconds: 10 });
  await control.clock.advance(9_999);
  await control.parts.reaper.sweep();
  expect(await control.state(row.id)).toBe('queued');
  await control.clock.advance(1);
  await control.parts.reaper.sweep();
  expect(await control.parts.commands.get(row.id)).toMatchObject({ state: 'expired', error_code: null });
});

it('gives up what the agent did not answer in its time, and asks it to stop', async () => {
  const row = await control.create(agentId, { timeoutSeconds: 10 });
  const link = await control.connect(agentId);
  await control.delivered(link, 1);
  await control.clock.advance(10_000);
  await control.parts.reaper.sweep();
  expect(await control.parts.commands.get(row.id)).toMatchObject({ state: 'failed', error_code: 'command_timeout' });
  expect(link.sent.at(-1)).toMatchObject({ type: 'cancel', payload: { command_id: row.id } });
});

it('leaves the time of a task to its agent', async () => {
  const row = await control.create(agentId, { ...taskStart(), timeoutSeconds: 10 });
  const link = await control.connect(agentId);
  await control.delivered(link, 1);
  await control.clock.advance(86_400_000);
  await control.parts.reaper.sweep();
  expect(await control.state(row.id)).toBe('delivered');
});

it('settles everything of an agent that was revoked', async () => {
  const link = await control.connect(agentId);
  const [delivered, running] = [await control.create(agentId), await control.create(agentId, taskStart())];
  await control.delivered(link, 2);
  await control.parts.inbox.started(link, running.id);
  await control.disconnect(link);
  const queued = await control.create(agentId);
  const other = await control.create(await control.addAgent());
  await control.parts.reaper.agentRevoked(agentId);
  const states = await Promise.all([queued, delivered, running, other].map(({ id }) => control.state(id)));
  expect(states).toEqual(['cancelled', 'indeterminate', 'indeterminate', 'queued']);
});

it('refuses what was not to be queued when the link is lost before it was sent', async () => {
  const link = await control.attach(agentId);
  control.parts.commands.onPending(() => undefined);
  const now = await control.create(agentId, { queueIfOffline: false });
  const later = await control.create(agentId, { queueIfOffline: true });
  await control.disconnect(link);
  expect(await control.parts.commands.get(now.id)).toMatchObject({ state: 'failed', error_code: 'agent_offline' });
  expect(await control.state(later.id)).toBe('queued');
});

it('makes up for the end of a link that the store did not hear of', async () => {
  const link = await control.attach(agentId);
  control.parts.commands.onPending(() => undefined);
  const row = await control.create(agentId, { queueIfOffline: false });
  const agents = new AgentsRepository(control.parts.db);
  vi.spyOn(AgentsRepository.prototype, 'disconnect').mockRejectedValueOnce(
    new ControlError('store_unavailable', 'away'),
  );
  await control.disconnect(link);
  expect(await agents.find(agentId)).toMatchObject({ status: 'connected' });
  await control.parts.reaper.sweep();
  expect(await agents.find(agentId)).toMatchObject({ status: 'disconnected' });
  expect(await control.parts.commands.get(row.id)).toMatchObject({ state: 'failed', error_code: 'agent_offline' });
});

it('takes no agent offline that is back, when it makes up for the end of its last link', async () => {
  const lost = await control.attach(agentId);
  vi.spyOn(AgentsRepository.prototype, 'disconnect').mockRejectedValueOnce(
    new ControlError('store_unavailable', 'away'),
  );
  await control.disconnect(lost);
  await control.attach(agentId);
  control.parts.commands.onPending(() => undefined);
  const row = await control.create(agentId, { queueIfOffline: false });
  await control.parts.reaper.sweep();
  expect(await new AgentsRepository(control.parts.db).find(agentId)).toMatchObject({ status: 'connected' });
  expect(await control.state(row.id)).toBe('queued');
});

/** Waits until the loop has swept and sleeps for the nth time. */
function slept(times: number): Promise<number> {
  return eventually(() => control.clock.sleeps.length, { what: `${times} sweeps`, until: (count) => count === times });
}

it('sweeps every second until it is stopped', async () => {
  const row = await control.create(agentId, { ttlSeconds: 2 });
  const stop = new AbortController();
  const running = control.parts.reaper.run(stop.signal);
  for (const [sweeps, state] of [
    [1, 'queued'],
    [2, 'queued'],
    [3, 'expired'],
  ] as const) {
    await slept(sweeps);
    expect(await control.state(row.id)).toBe(state);
    await control.clock.advance(1_000);
  }
  await slept(4);
  stop.abort();
  await running;
  expect(control.clock.pending).toBe(0);
});

it('goes on after a sweep that failed', async () => {
  await control.parts.store.close();
  const stop = new AbortController();
  const running = control.parts.reaper.run(stop.signal);
  await slept(1);
  await control.clock.advance(1_000);
  await slept(2);
  stop.abort();
  await running;
  const failed = control.parts.lines.filter(({ msg }) => msg === 'sweep of overdue commands failed');
  expect(failed).toHaveLength(2);
});

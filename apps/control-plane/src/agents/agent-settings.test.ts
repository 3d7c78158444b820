import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ControlPlaneFixture } from '../control-plane-fixture.ts';
import type { RecordedLink } from '../control-plane-fixture.ts';
import type { AgentSettings } from './agent-settings.ts';

const DEFAULTS = { heartbeat_interval: 20, command_timeout: 300 };

let control: ControlPlaneFixture;
let settings: AgentSettings;
let agentId: string;
beforeEach(async () => {
  control = await ControlPlaneFixture.make();
  settings = control.parts.settings;
  agentId = await control.addAgent();
});
afterEach(() => control[Symbol.asyncDispose]());

/** The settings a link was sent, the newest last. */
function updates({ sent }: RecordedLink) {
  return sent.filter(({ type }) => type === 'config_update');
}

/** The agent says something to the newest settings it was sent. */
async function answer(link: RecordedLink, refusal?: string): Promise<void> {
  const ref = updates(link).at(-1)?.id ?? '';
  const applied = { heartbeat_interval: 5 };
  if (refusal === undefined) await control.parts.inbox.settingsTaken(link, ref, applied);
  else await control.parts.inbox.error(link, { code: 'operation_not_allowed', message: refusal, ref });
}

it('tells an agent what all agents are told until it is told something else', async () => {
  expect(await settings.view(agentId)).toEqual({
    wanted: { heartbeat_interval: null, command_timeout: null },
    told: DEFAULTS,
    state: 'default',
    applied: null,
    reason: null,
    updated_at: null,
    answered_at: null,
  });
  await settings.change(agentId, { heartbeat_interval: 5 });
  expect(await settings.toldTo(agentId)).toMatchObject({ config: { ...DEFAULTS, heartbeat_interval: 5 } });
  expect((await settings.toldTo(await control.addAgent())).config).toEqual(DEFAULTS);
});

it('tells a connected agent at once, and keeps what it says to it', async () => {
  const link = await control.attach(agentId);
  expect(await settings.change(agentId, { heartbeat_interval: 5 })).toMatchObject({ state: 'pending' });
  expect(updates(link)).toMatchObject([{ payload: { ...DEFAULTS, heartbeat_interval: 5 } }]);
  await answer(link);
  expect(await settings.view(agentId)).toMatchObject({
    state: 'applied',
    applied: { heartbeat_interval: 5 },
    answered_at: expect.any(String),
  });
  await settings.change(agentId, { heartbeat_interval: 30 });
  expect(await settings.view(agentId)).toMatchObject({ state: 'pending', applied: null, answered_at: null });
  await answer(link, 'its file allows 20');
  expect(await settings.view(agentId)).toMatchObject({ state: 'refused', reason: 'its file allows 20', applied: null });
});

it('counts no answer but the one to the newest settings, on the newest link', async () => {
  const link = await control.attach(agentId);
  await settings.change(agentId, { heartbeat_interval: 5 });
  const [first] = updates(link);
  await settings.change(agentId, { heartbeat_interval: 6 });
  await control.parts.inbox.settingsTaken(link, first?.id ?? '', { heartbeat_interval: 5 });
  await control.parts.inbox.settingsTaken(link, randomUUID(), { heartbeat_interval: 5 });
  const other = await control.attach(await control.addAgent());
  await control.parts.inbox.settingsTaken(other, updates(link)[1]?.id ?? '', { heartbeat_interval: 5 });
  expect(await settings.view(agentId)).toMatchObject({ state: 'pending' });
});

it('asks for an answer each time the agent comes, and only those it has told something of their own', async () => {
  await settings.change(agentId, { command_timeout: 60 });
  const told = await settings.toldTo(agentId);
  const link = await control.attach(agentId);
  await settings.linkUp(link, told);
  await answer(link);
  expect(await settings.view(agentId)).toMatchObject({ state: 'applied' });
  const ordinary = await control.attach(await control.addAgent());
  await settings.linkUp(ordinary, await settings.toldTo(ordinary.agentId));
  expect(updates(ordinary)).toEqual([]);
});

it('tells a link that came in the middle of a change what has changed', async () => {
  const before = await settings.toldTo(agentId);
  await settings.change(agentId, { heartbeat_interval: 5 });
  const link = await control.attach(agentId);
  await settings.linkUp(link, before);
  expect(updates(link)).toMatchObject([{ payload: { heartbeat_interval: 5 } }]);
});

it('goes back to what all are told, and keeps what is left out', async () => {
  const link = await control.attach(agentId);
  await settings.change(agentId, { heartbeat_interval: 5, command_timeout: 60 });
  await settings.change(agentId, { heartbeat_interval: null });
  expect(await settings.view(agentId)).toMatchObject({ wanted: { heartbeat_interval: null, command_timeout: 60 } });
  expect(await settings.change(agentId, { command_timeout: null })).toMatchObject({ state: 'default', told: DEFAULTS });
  expect(updates(link).at(-1)).toMatchObject({ payload: DEFAULTS });
  await answer(link);
  expect(await settings.view(agentId)).toMatchObject({ state: 'default' });
});

it('asks no agent to be silent for longer than links are kept', async () => {
  const change = settings.change(agentId, { heartbeat_interval: 45 });
  await expect(change).rejects.toMatchObject({ code: 'invalid_request' });
  expect(await settings.view(agentId)).toMatchObject({ state: 'default' });
});

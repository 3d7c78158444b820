import { memoryLog } from '@drawbridge/runtime/testing';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ControlPlaneFixture } from '../control-plane-fixture.ts';
import { AgentsRepository } from '../store/agents-repository.ts';
import { TunnelTokens } from '../tunnels/tunnel-tokens.ts';
import { ServerIdentity } from '../identity/server-identity.ts';
import { SystemTunnels } from '../tunnels/system-tunnels.ts';
import { verifyAgentToken } from './agent-auth.ts';
import { AgentActivity } from './agent-activity.ts';
import { AgentService } from './agent-service.ts';

let control: ControlPlaneFixture;
let agents: AgentService;
beforeEach(async () => {
  control = await ControlPlaneFixture.make();
  const { clock, parts, dir } = control;
  const { log } = memoryLog();
  const tokens = new TunnelTokens(await ServerIdentity.load(dir.join('server-identity.json')), clock);
  const activity = new AgentActivity({
    audit: { record: () => Promise.resolve() },
    publish: () => undefined,
    log,
    refusals: { spend: () => true },
  });
  const tunnels = new SystemTunnels({
    commands: parts.commands,
    presence: parts.presence,
    tokens,
    clock,
    log,
    metrics: parts.metrics,
    activity,
  });
  agents = new AgentService({ ...parts, tunnels, clock, log });
});
afterEach(() => control[Symbol.asyncDispose]());

it('finds an agent by its id and by its name, until it is revoked', async () => {
  const agentId = await control.addAgent('build-1');
  expect(await agents.find('build-1')).toMatchObject({ agent_id: agentId });
  expect(await agents.find(agentId)).toMatchObject({ name: 'build-1' });
  await agents.revoke('build-1');
  await expect(agents.find(agentId)).rejects.toMatchObject({ code: 'agent_not_found' });
  await expect(agents.find('build-1')).rejects.toMatchObject({ code: 'agent_not_found' });
  expect(await agents.list({ limit: 10, cursor: undefined }, { scope: [[]], selector: [], status: undefined })).toEqual(
    [],
  );
});

it('cuts the link of a revoked agent, and settles what was under way', async () => {
  const agentId = await control.addAgent();
  const link = await control.connect(agentId);
  const sent = await control.create(agentId);
  await control.delivered(link, 1);
  await agents.revoke(agentId);
  expect(link.ends).toEqual([{ code: 4003, reason: '403 agent revoked' }]);
  expect(control.parts.presence.current(agentId)).toBeUndefined();
  expect(await control.state(sent.id)).toBe('indeterminate');
});

it('wakes up who waits for an agent that is away, when it is revoked', async () => {
  const agentId = await control.addAgent();
  let woken = 0;
  control.parts.bus.subscribe(`agent:${agentId}`, () => (woken += 1));
  await agents.revoke(agentId);
  expect(woken).toBe(1);
});

it('makes an agent with an API key that is shown once and expires', async () => {
  const { agentId, key } = await agents.createWithKey('relay-1', { site: 'lab' }, 60);
  const row = await new AgentsRepository(control.parts.db).find(agentId);
  if (row === undefined) throw new Error('no row');
  expect(JSON.stringify(row)).not.toContain(key);
  const at = (afterMs: number) => ({ serverId: '', nonce: '', nowMs: control.clock.now() + afterMs });
  await verifyAgentToken(row, key, at(59_999));
  await expect(verifyAgentToken(row, key, at(60_000))).rejects.toMatchObject({ code: 'auth_failed' });
  await expect(agents.createWithKey('relay-1', {}, 60)).rejects.toMatchObject({ code: 'agent_name_taken' });
});

it('changes an agent only as it was when somebody decided that: its labels decide who may', async () => {
  await control.addAgent('build-1');
  const before = await agents.find('build-1');
  const moved = await agents.update(before, { name: 'build-1', labels: { env: 'prod' } });
  const late = agents.update(before, { name: 'build-1', labels: { env: 'dev', mine: 'yes' } });
  await expect(late).rejects.toMatchObject({ code: 'conflict' });
  expect(await agents.find('build-1')).toMatchObject({ labels: moved.labels });
});

import { randomUUID } from 'node:crypto';
import { LIMITS } from '@drawbridge/protocol';
import { eventually } from '@drawbridge/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ADMIN } from '../control-plane-fixture.ts';
import { actorWith } from '../operators/people-fixture.ts';
import { LeasesFixture } from './leases-fixture.ts';

const HOUR_MS = 3_600_000;
const TARGET = { host: '10.0.0.5', port: 22 } as const;

let world: LeasesFixture;
beforeEach(async () => {
  world = await LeasesFixture.make();
});
afterEach(() => world[Symbol.asyncDispose]());

describe('a request', () => {
  it('makes a lease that is stored with all its fields before anybody hears of it', async () => {
    const agent = await world.agent();
    const wanted = { protocol: 'ssh', domain: 'ssh', target: TARGET, metadata: { note: 'x' } } as const;
    const lease = await world.request(agent, wanted);
    expect(await world.stored(lease)).toMatchObject({
      agent_id: agent.agent_id,
      assigned_port: 7400,
      protocol: 'ssh',
      domain: 'ssh',
      target: JSON.stringify(TARGET),
      metadata: '{"note":"x"}',
      operator_id: 'token:admin',
      operator_name: 'admin',
      state: 'pending',
      epoch: 0,
      idle_timeout: 3600,
      grace_timeout: 3600,
      created_at: '2026-01-07T10:00:00.000Z',
      last_activity_at: '2026-01-07T10:00:00.000Z',
      expires_at: '2026-01-07T10:02:00.000Z',
      ended_at: null,
    });
    expect(world.requested).toEqual([lease.tunnelId]);
    expect(world.leases.find(lease.tunnelId)).toBe(lease);
    expect(world.published).toMatchObject([
      { type: 'tunnel.opened', agentId: agent.agent_id, data: { kind: 'operator', protocol: 'ssh', state: 'pending' } },
    ]);
  });

  it.each([
    ['a domain of another protocol', { protocol: 'ssh', domain: 'ps' }],
    ['a target for a shell', { protocol: 'ps', target: TARGET }],
    [
      'metadata without end',
      { protocol: 'tcp', metadata: Object.fromEntries(Array.from({ length: 33 }, (_, n) => [n, ''])) },
    ],
  ] as const)('is refused for %s', async (_what, wanted) => {
    const agent = await world.agent();
    await expect(world.request(agent, wanted)).rejects.toMatchObject({ code: 'invalid_request' });
    expect(world.leases.all()).toEqual([]);
  });

  it('is refused while the agent is away', async () => {
    const agent = await world.row(await world.people.control.addAgent('away'));
    await expect(world.request(agent)).rejects.toMatchObject({ code: 'agent_offline' });
  });

  it('leaves nothing behind when it cannot be stored', async () => {
    const agent = await world.agent();
    await expect(world.request({ ...agent, agent_id: randomUUID() })).rejects.toThrow();
    await world.people.control.parts.store.close();
    await expect(world.request(agent, { protocol: 'ps' })).rejects.toThrow();
    expect(world.leases.all()).toEqual([]);
    expect(world.requested).toEqual([]);
  });

  it('is refused when the agent has as many tunnels as it may', async () => {
    const agent = await world.agent();
    const all = await Promise.all(Array.from({ length: LIMITS.leasesPerAgentMax }, () => world.request(agent)));
    await expect(world.request(agent)).rejects.toMatchObject({ code: 'queue_full' });
    await world.leases.end(all[0]?.tunnelId ?? '', { code: 0, reason: 'done' }, ADMIN);
    await world.request(agent);
  });
});

describe('a limit of a domain', () => {
  const STRANGER = actorWith([['tunnel.open'], '']);

  it('refuses one more, naming the domain, the limit and the holder to who may see it', async () => {
    const agent = await world.agent();
    const held = await world.active(agent, { protocol: 'ps' });
    const mayRead = actorWith([['tunnel.open', 'tunnel.read'], '']);
    await expect(world.request(agent, { protocol: 'ps' }, mayRead)).rejects.toMatchObject({
      code: 'domain_limit',
      message: expect.stringContaining(held.tunnelId),
      details: { domain: 'ps', limit: 1, tunnel_id: held.tunnelId },
    });
    const refusal = await world.request(agent, { protocol: 'ps' }, STRANGER).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: 'domain_limit', details: { domain: 'ps', limit: 1 } });
    expect(JSON.stringify(refusal) + String(refusal)).not.toContain(held.tunnelId);
  });

  it('is one for rdp, vnc and webrtc together, as many as configured for ssh, and none for winrm', async () => {
    const agent = await world.agent();
    await world.active(agent, { protocol: 'rdp' });
    for (const protocol of ['vnc', 'webrtc', 'rdp'] as const) {
      await expect(world.request(agent, { protocol })).rejects.toMatchObject({ code: 'domain_limit' });
    }
    for (const protocol of ['ssh', 'ssh', 'winrm', 'winrm', 'tcp', 'tcp'] as const)
      await world.active(agent, { protocol });
    await expect(world.request(agent, { protocol: 'ssh' })).rejects.toMatchObject({ details: { limit: 2 } });
    await world.active(await world.agent(), { protocol: 'rdp' });
  });

  it('is not passed by two that come at the same moment', async () => {
    const agent = await world.agent();
    const results = await Promise.allSettled([1, 2, 3].map(() => world.request(agent, { protocol: 'ps' })));
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(world.leases.ofAgent(agent.agent_id)).toHaveLength(1);
  });

  it('gives its holder their own lease again while their end is away', async () => {
    const agent = await world.agent();
    const lease = await world.active(agent, { protocol: 'ps' });
    await expect(world.request(agent, { protocol: 'ps' })).rejects.toMatchObject({ code: 'domain_limit' });
    await world.leases.legGone(lease.tunnelId, 'operator', 'cut');
    await expect(world.request(agent, { protocol: 'ps' }, STRANGER)).rejects.toMatchObject({ code: 'domain_limit' });
    expect(await world.request(agent, { protocol: 'ps' })).toBe(lease);
    expect(world.requested).toEqual([lease.tunnelId]);
  });

  it('gives no lease to another place, or of another protocol, for the one that was asked for', async () => {
    const agent = await world.agent();
    await world.request(agent, { protocol: 'vnc', target: TARGET });
    for (const wanted of [{ protocol: 'vnc' }, { protocol: 'rdp', target: TARGET }] as const) {
      await expect(world.request(agent, wanted)).rejects.toMatchObject({ code: 'domain_limit' });
    }
  });

  it('counts a lease in grace, and none that is over', async () => {
    const agent = await world.agent();
    const lease = await world.active(agent, { protocol: 'ps' });
    await world.leases.legGone(lease.tunnelId, 'agent', 'cut');
    await expect(world.request(agent, { protocol: 'ps' })).rejects.toMatchObject({ code: 'domain_limit' });
    await world.leases.end(lease.tunnelId, { code: 0, reason: 'done' }, ADMIN);
    expect(await world.request(agent, { protocol: 'ps' })).not.toBe(lease);
  });
});

describe('its legs', () => {
  it('make it active when both are there, and put it into grace when one goes', async () => {
    const lease = await world.request(await world.agent());
    await world.leases.legUp(lease.tunnelId, 'operator');
    expect(lease).toMatchObject({ state: 'pending', legs: { operator: true, agent: false } });
    await world.leases.legUp(lease.tunnelId, 'agent');
    expect(lease.state).toBe('active');
    expect(await world.stored(lease)).toMatchObject({ state: 'active', grace_since: null });
    await world.leases.legGone(lease.tunnelId, 'agent', 'cut');
    await world.leases.legGone(lease.tunnelId, 'agent', 'cut');
    expect(lease).toMatchObject({ state: 'grace', legs: { operator: true, agent: false } });
    expect(await world.stored(lease)).toMatchObject({ state: 'grace', grace_since: '2026-01-07T10:00:00.000Z' });
    await world.leases.legUp(lease.tunnelId, 'agent');
    expect(await world.stored(lease)).toMatchObject({ state: 'active', grace_since: null });
  });

  it('come and go while the store is away, and that is stored by a later sweep', async () => {
    const lease = await world.active(await world.agent());
    const { schema } = world.people.control.parts.db;
    await schema.alterTable('tunnel_leases').renameTo('away').execute();
    await world.leases.legGone(lease.tunnelId, 'agent', 'cut');
    expect(lease.state).toBe('grace');
    await schema.alterTable('away').renameTo('tunnel_leases').execute();
    expect(await world.stored(lease)).toMatchObject({ state: 'active' });
    await world.leases.sweep();
    expect(await world.stored(lease)).toMatchObject({ state: 'grace' });
  });

  it('are recorded and told as they come and go, with who and why', async () => {
    const agent = await world.agent();
    const lease = await world.active(agent);
    await world.leases.legGone(lease.tunnelId, 'operator', 'cut');
    await world.leases.legGone(lease.tunnelId, 'operator', 'cut again');
    const details = { tunnel_id: lease.tunnelId, protocol: 'tcp', domain: 'tcp', port: 7400 };
    expect(world.recorded).toMatchObject([
      { verb: 'tunnel.attach', actor: `agent:${agent.agent_id}`, agentId: agent.agent_id, details: { leg: 'agent' } },
      { verb: 'tunnel.attach', actor: 'token:admin', actorName: 'admin', details: { ...details, leg: 'operator' } },
      { verb: 'tunnel.detach', actor: 'token:admin', reason: 'cut', details: { leg: 'operator' } },
    ]);
    expect(world.published.filter(({ type }) => type === 'tunnel.changed').map(({ data }) => data['state'])).toEqual([
      'pending',
      'active',
      'grace',
    ]);
  });

  it('of whoever has taken over are recorded as theirs', async () => {
    const lease = await world.request(await world.agent());
    await world.leases.legUp(lease.tunnelId, 'operator', { ...ADMIN, id: 'boss', name: 'boss' });
    expect(world.recorded).toMatchObject([{ actor: 'token:boss', actorName: 'boss' }]);
  });

  it('cannot come to a lease that is over', async () => {
    const lease = await world.active(await world.agent());
    await world.leases.end(lease.tunnelId, { code: 0, reason: 'done' }, ADMIN);
    await expect(world.leases.legUp(lease.tunnelId, 'agent')).rejects.toMatchObject({ code: 'tunnel_not_found' });
    await expect(world.leases.nextEpoch(lease.tunnelId)).rejects.toMatchObject({ code: 'tunnel_not_found' });
    await world.leases.legGone(lease.tunnelId, 'agent', 'late');
    world.leases.noteTraffic(lease.tunnelId, 0, 0);
    expect(world.recorded.at(-1)).toMatchObject({ verb: 'tunnel.close' });
  });
});

it('gives each epoch once, stored before it is answered', async () => {
  const lease = await world.request(await world.agent());
  const epochs = await Promise.all([1, 2, 3].map(() => world.leases.nextEpoch(lease.tunnelId)));
  expect(epochs).toEqual([1, 2, 3]);
  expect(await world.stored(lease)).toMatchObject({ epoch: 3 });
  await world.restart();
  expect(await world.leases.nextEpoch(lease.tunnelId)).toBe(4);
  await world.people.control.parts.store.close();
  await expect(world.leases.nextEpoch(lease.tunnelId)).rejects.toThrow();
});

describe('the end', () => {
  it('is told at once, stored with its reason, and recorded once', async () => {
    const agent = await world.agent();
    const lease = await world.active(agent);
    const end = { code: 12, reason: 'closed by its operator' } as const;
    const ending = world.leases.end(lease.tunnelId, end, ADMIN);
    expect(world.ended).toEqual([{ tunnelId: lease.tunnelId, end }]);
    expect(lease).toMatchObject({ state: 'closing', legs: { operator: false, agent: false } });
    expect(world.leases.find(lease.tunnelId)).toBeUndefined();
    await Promise.all([ending, world.leases.end(lease.tunnelId, { code: 1, reason: 'other' }, 'system')]);
    await world.leases.end(lease.tunnelId, { code: 1, reason: 'other' }, 'system');
    expect(await world.stored(lease)).toMatchObject({
      state: 'closed',
      close_code: 12,
      close_reason: 'closed by its operator',
      ended_at: '2026-01-07T10:00:00.000Z',
    });
    expect(world.leases.all()).toEqual([]);
    expect(world.ended).toHaveLength(1);
    expect(world.recorded.filter(({ verb }) => verb === 'tunnel.close')).toMatchObject([
      { actor: 'token:admin', agentId: agent.agent_id, reason: 'closed by its operator', details: { close_code: 12 } },
    ]);
    expect(world.published.filter(({ type }) => type === 'tunnel.closed')).toMatchObject([
      { data: { kind: 'operator', state: 'closed', code: 12, reason: 'closed by its operator' } },
    ]);
  });

  it('comes to every lease of an agent that is revoked', async () => {
    const agent = await world.agent();
    const [mine, other] = [await world.active(agent), await world.active(await world.agent())];
    await world.leases.agentRevoked(agent.agent_id);
    expect(world.leases.all()).toEqual([other]);
    expect(await world.stored(mine)).toMatchObject({ close_code: 10, close_reason: 'the agent was revoked' });
  });

  it('cuts its legs at once when it cannot be stored, counts until it is, and is stored by a later sweep', async () => {
    const agent = await world.agent();
    const lease = await world.active(agent, { protocol: 'ps' });
    const { schema } = world.people.control.parts.db;
    await schema.alterTable('tunnel_leases').renameTo('away').execute();
    await expect(world.leases.end(lease.tunnelId, { code: 0, reason: 'done' }, ADMIN)).rejects.toThrow();
    expect(world.ended).toHaveLength(1);
    await expect(world.request(agent, { protocol: 'ps' })).rejects.toMatchObject({ code: 'domain_limit' });
    await expect(world.leases.sweep()).rejects.toThrow();
    await schema.alterTable('away').renameTo('tunnel_leases').execute();
    await world.leases.sweep();
    expect(await world.stored(lease)).toMatchObject({ state: 'closed', close_code: 0, close_reason: 'done' });
    expect(world.ended).toHaveLength(1);
    expect(world.recorded.filter(({ verb }) => verb === 'tunnel.close')).toMatchObject([{ actor: 'token:admin' }]);
    await world.request(agent, { protocol: 'ps' });
  });
});

describe('a sweep', () => {
  it('ends a lease whose ends did not meet within two minutes', async () => {
    const lease = await world.request(await world.agent());
    await world.leases.legUp(lease.tunnelId, 'operator');
    await world.clock.advance(LIMITS.leasePendingMs - 1);
    await world.leases.sweep();
    expect(lease.state).toBe('pending');
    await world.clock.advance(1);
    await world.leases.sweep();
    expect(await world.stored(lease)).toMatchObject({ state: 'expired', close_code: 2 });
  });

  it('ends an idle lease with 1, counted from the last data', async () => {
    const lease = await world.active(await world.agent());
    await world.clock.advance(HOUR_MS - 1);
    world.leases.noteTraffic(lease.tunnelId, 0, 0);
    await world.clock.advance(HOUR_MS - 1);
    await world.leases.sweep();
    expect(lease.state).toBe('active');
    expect(await world.stored(lease)).toMatchObject({ last_activity_at: '2026-01-07T10:59:59.999Z' });
    await world.clock.advance(1);
    await world.leases.sweep();
    expect(await world.stored(lease)).toMatchObject({ state: 'expired', close_code: 1 });
    expect(world.recorded.at(-1)).toMatchObject({ verb: 'tunnel.close', actor: 'system:system' });
  });

  it('ends a lease with 2 when an end was away for the whole grace, and not a moment before', async () => {
    const lease = await world.active(await world.agent());
    await world.leases.legGone(lease.tunnelId, 'agent', 'cut');
    await world.clock.advance(HOUR_MS / 2);
    await world.leases.legGone(lease.tunnelId, 'operator', 'cut');
    await world.clock.advance(HOUR_MS / 2 - 1);
    await world.leases.sweep();
    expect(lease).toMatchObject({ state: 'grace', expiresAtMs: world.clock.now() + 1 });
    await world.clock.advance(1);
    await world.leases.sweep();
    expect(await world.stored(lease)).toMatchObject({ state: 'expired', close_code: 2 });
  });

  it('does not count time in grace as idle, and coming back as no activity', async () => {
    const lease = await world.active(await world.agent());
    await world.clock.advance(HOUR_MS - 10_000);
    await world.leases.legGone(lease.tunnelId, 'agent', 'cut');
    await world.clock.advance(HOUR_MS - 1);
    await world.leases.legUp(lease.tunnelId, 'agent');
    await world.leases.sweep();
    expect(lease).toMatchObject({ state: 'active', expiresAtMs: world.clock.now() + 10_000 });
    await world.clock.advance(10_000);
    await world.leases.sweep();
    expect(await world.stored(lease)).toMatchObject({ close_code: 1 });
  });

  it('does not care who sets the clock', async () => {
    const lease = await world.active(await world.agent());
    world.clock.skew(10 * HOUR_MS);
    await world.leases.sweep();
    expect(lease.state).toBe('active');
  });

  it('stores what was counted since the last one', async () => {
    const lease = await world.active(await world.agent());
    world.leases.noteTraffic(lease.tunnelId, 10, 0);
    world.leases.noteTraffic(lease.tunnelId, 1, 5);
    expect(await world.stored(lease)).toMatchObject({ bytes_up: 0 });
    await world.leases.sweep();
    expect(await world.stored(lease)).toMatchObject({ bytes_up: 11, bytes_down: 5 });
  });

  it('comes every fifteen seconds until it is told to stop', async () => {
    const lease = await world.request(await world.agent());
    const stop = new AbortController();
    const running = world.leases.run(stop.signal);
    const slept = () => world.clock.sleeps.filter((ms) => ms === LIMITS.leaseSweepMs).length;
    const sweeps = LIMITS.leasePendingMs / LIMITS.leaseSweepMs;
    for (let sweep = 1; sweep <= sweeps; sweep += 1) {
      await eventually(slept, { what: `sweep ${sweep} to be over`, until: (count) => count >= sweep });
      expect(lease.state).toBe('pending');
      await world.clock.advance(LIMITS.leaseSweepMs);
    }
    await eventually(slept, { what: 'the last sweep to be over', until: (count) => count > sweeps });
    stop.abort(new Error('the test is over'));
    await running;
    expect(await world.stored(lease)).toMatchObject({ state: 'expired' });
    expect(world.clock.pending).toBe(0);
  });

  it('forgets leases a week after they ended', async () => {
    const lease = await world.request(await world.agent());
    await world.leases.end(lease.tunnelId, { code: 0, reason: 'done' }, ADMIN);
    await world.clock.advance(7 * 24 * HOUR_MS);
    await world.leases.sweep();
    await world.stored(lease);
    await world.clock.advance(HOUR_MS);
    await world.leases.sweep();
    await expect(world.stored(lease)).rejects.toMatchObject({ code: 'tunnel_not_found' });
  });
});

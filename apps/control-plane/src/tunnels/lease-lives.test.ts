import { randomUUID } from 'node:crypto';
import { eventually } from '@drawbridge/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ADMIN } from '../control-plane-fixture.ts';
import { actorWith } from '../operators/people-fixture.ts';
import { AgentsRepository } from '../store/agents-repository.ts';
import { LeasesRepository } from '../store/leases-repository.ts';
import { LeasesFixture } from './leases-fixture.ts';

const HOUR_MS = 3_600_000;
const TARGET = { host: '10.0.0.5', port: 22 } as const;

let world: LeasesFixture;
beforeEach(async () => {
  world = await LeasesFixture.make();
});
afterEach(() => world[Symbol.asyncDispose]());

describe('a restart', () => {
  it('puts every lease that was not over into grace from that moment, with all it had', async () => {
    const agent = await world.agent();
    const [pending, active] = [
      await world.request(agent, { protocol: 'ssh', target: TARGET }),
      await world.active(agent),
    ];
    const over = await world.active(agent);
    world.leases.noteTraffic(active.tunnelId, 7, 9);
    await world.leases.end(over.tunnelId, { code: 0, reason: 'done' }, ADMIN);
    await world.leases[Symbol.asyncDispose]();
    await world.clock.advance(2 * HOUR_MS);
    await world.restart();
    const graceOf = {
      state: 'grace',
      legs: { operator: false, agent: false },
      expiresAtMs: world.clock.now() + HOUR_MS,
    };
    expect(world.leases.all()).toMatchObject([
      { ...graceOf, tunnelId: pending.tunnelId, protocol: 'ssh', target: TARGET, operatorId: 'token:admin' },
      { ...graceOf, tunnelId: active.tunnelId, bytes: { up: 7, down: 9 }, createdAtMs: active.createdAtMs },
    ]);
    expect(await world.stored(pending)).toMatchObject({ state: 'grace', grace_since: '2026-01-07T12:00:00.000Z' });
    const [lease] = world.leases.all();
    if (lease === undefined) throw new Error('no lease');
    await world.bothUp(lease);
    expect(lease).toMatchObject({ state: 'active', expiresAtMs: world.clock.now() + HOUR_MS });
  });

  it('counts what it has found against the limits', async () => {
    const agent = await world.agent();
    await world.request(agent, { protocol: 'ps' });
    await world.restart();
    await world.people.control.attach(agent.agent_id);
    const other = actorWith([['tunnel.open'], '']);
    await expect(world.request(agent, { protocol: 'ps' }, other)).rejects.toMatchObject({ code: 'domain_limit' });
  });

  it('ends what was ending, and what belongs to an agent that is gone', async () => {
    const [first, second] = [await world.agent(), await world.agent()];
    const [ending, revoked] = [await world.active(first), await world.active(second)];
    const { db } = world.people.control.parts;
    await new LeasesRepository(db).update(ending.tunnelId, {
      state: 'closing',
      close_code: 12,
      close_reason: 'enough',
    });
    await new AgentsRepository(db).revoke(second.agent_id, '2026-01-07T10:00:00.000Z');
    await world.restart();
    expect(world.leases.all()).toEqual([]);
    expect(await world.stored(ending)).toMatchObject({ state: 'closed', close_code: 12, close_reason: 'enough' });
    expect(await world.stored(revoked)).toMatchObject({ state: 'closed', close_code: 10 });
  });

  it('binds the ports of before again, and gives another to a lease whose port is lost', async () => {
    const agent = await world.agent();
    await world.restart('leased');
    await world.people.control.attach(agent.agent_id);
    const leases = [await world.request(agent), await world.request(agent), await world.request(agent)];
    expect(leases.map(({ port }) => port)).toEqual([30_000, 30_001, 30_002]);
    await world.leases.end(leases[0]?.tunnelId ?? '', { code: 0, reason: 'done' }, ADMIN);
    world.system.refused.set(30_001, 'EADDRINUSE');
    await world.restart('leased');
    expect(world.leases.all().map(({ port }) => port)).toEqual([30_000, 30_002]);
    expect([...world.system.open.keys()]).toEqual([30_000, 30_002]);
    expect(await world.stored({ tunnelId: leases[1]?.tunnelId ?? '' })).toMatchObject({ assigned_port: 30_000 });
  });

  it('ends a lease for which no port is left', async () => {
    const agent = await world.agent();
    await world.restart('leased');
    await world.people.control.attach(agent.agent_id);
    const lease = await world.request(agent);
    for (const port of [30_000, 30_001, 30_002, 30_003]) world.system.refused.set(port, 'EACCES');
    await world.restart('leased');
    expect(await world.stored(lease)).toMatchObject({ state: 'closed', close_code: 11 });
  });
});

it('opens a port with each lease, closes it with the lease, and refuses one more than there are', async () => {
  const agent = await world.agent();
  await world.restart('leased');
  await world.people.control.attach(agent.agent_id);
  const leases = await Promise.all([1, 2, 3, 4].map(() => world.request(agent)));
  expect(new Set(world.system.open.keys())).toEqual(new Set([30_000, 30_001, 30_002, 30_003]));
  await expect(world.request(agent)).rejects.toMatchObject({ code: 'port_pool_exhausted' });
  await world.leases.end(leases[2]?.tunnelId ?? '', { code: 0, reason: 'done' }, ADMIN);
  expect(world.system.open.size).toBe(3);
  await expect(world.request({ ...agent, agent_id: randomUUID() })).rejects.toMatchObject({ code: 'agent_offline' });
  await world.request(agent);
  await world.leases[Symbol.asyncDispose]();
  expect(world.system.open.size).toBe(0);
});

describe('the right of its operator', () => {
  const watched = async (act: () => Promise<unknown>) => {
    const stop = new AbortController();
    const running = world.people.access.run(stop.signal);
    await act();
    await world.clock.advance(1_000);
    await eventually(() => world.leases.all(), { what: 'the lease to end', until: (all) => all.length === 0 });
    stop.abort(new Error('the test is over'));
    await running;
  };

  it.each([
    ['their role is taken away', (id: string) => world.people.users.update(id, { roles: [] }, ADMIN)],
    ['they are disabled', (id: string) => world.people.users.update(id, { disabled: true }, ADMIN)],
  ])('ends it when %s', async (_what, act) => {
    const { user, actor } = await world.people.person('ann', 'operator');
    const lease = await world.active(await world.agent(), undefined, actor);
    await watched(() => act(user.id));
    expect(world.ended).toMatchObject([{ tunnelId: lease.tunnelId, end: { code: 10 } }]);
    expect(await world.stored(lease)).toMatchObject({ state: 'closed', close_code: 10 });
  });

  it('ends it when the agent is moved out of their reach', async () => {
    const { actor } = await world.people.person('ann', 'operator', 'env=dev');
    const agent = await world.agent('one', { env: 'dev' });
    const lease = await world.active(agent, undefined, actor);
    await watched(() => world.label(agent.agent_id, { env: 'prod' }));
    expect(await world.stored(lease)).toMatchObject({ close_code: 10 });
  });

  it('ends it when its token is revoked', async () => {
    const { user } = await world.people.person('ann', 'operator');
    const owner = { ...ADMIN, kind: 'user', id: user.id, userId: user.id } as const;
    const wanted = { name: 'ci', verbs: null, selector: '', expiresInSeconds: 3600 };
    const token = await world.people.tokens.issue(wanted, owner);
    const lease = await world.active(await world.agent(), undefined, await world.people.actor(token.token));
    await watched(() => world.people.tokens.revoke(token.id));
    expect(await world.stored(lease)).toMatchObject({ close_code: 10 });
  });

  it('ends it after a restart, too', async () => {
    const { user, actor } = await world.people.person('ann', 'operator');
    const lease = await world.active(await world.agent(), undefined, actor);
    await world.leases[Symbol.asyncDispose]();
    await world.reload();
    await watched(() => world.people.users.update(user.id, { roles: [] }, ADMIN));
    expect(await world.stored(lease)).toMatchObject({ close_code: 10 });
  });

  it('lets it go on when they only sign out', async () => {
    const { actor, user } = await world.people.person('ann', 'operator');
    const lease = await world.active(await world.agent(), undefined, actor);
    const stop = new AbortController();
    const running = world.people.access.run(stop.signal);
    await world.people.sessions.endAll(user.id);
    await world.clock.advance(3_000);
    stop.abort(new Error('the test is over'));
    await running;
    expect(lease.state).toBe('active');
  });
});

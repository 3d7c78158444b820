import { connectLeg } from '@drawbridge/link';
import { CloseReason, ControlError, WsClose } from '@drawbridge/protocol';
import { eventually, settle } from '@drawbridge/testkit';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ADMIN } from '../control-plane-fixture.ts';
import { actorText } from '../operators/actor.ts';
import { OperatorTunnelsFixture, openChannel } from './operator-tunnels-fixture.ts';

let world: OperatorTunnelsFixture;
beforeEach(async () => {
  world = await OperatorTunnelsFixture.make();
});
afterEach(() => world[Symbol.asyncDispose]());

const bytes = (text: string) => new TextEncoder().encode(text);

it('tells that one agent to dial, and joins its end to the operator', async () => {
  const other = await world.agent();
  const { operator, lease } = await world.connected();
  expect(world.held.leases.find(lease.tunnelId)).toMatchObject({
    state: 'active',
    legs: { agent: true, operator: true },
  });
  const channel = await openChannel(operator);
  await channel.send(bytes('hello'));
  await eventually(() => lease.bytes.up === 5, { what: 'the bytes to be counted' });
  expect(other.link.sent).toEqual([]);
});

it('asks again, later and later and each time with a new token, while the agent does not dial', async () => {
  const { agentId, link } = await world.agent();
  await world.request(agentId);
  const first = await world.asked(link);
  await world.control.parts.commands.end(first.commandId, ['delivered'], {
    status: 'error',
    error: { code: 'agent_error', message: 'no route' },
  });
  await eventually(() => world.control.parts.lines.some(({ msg }) => msg === 'the agent has not dialled'), {
    what: 'a word',
  });
  await settle();
  expect(link.sent).toHaveLength(1);
  await world.clock.advance(1_000);
  const second = await world.asked(link, 2);
  expect(second.tunnelId).toBe(first.tunnelId);
  expect(second.token).not.toBe(first.token);
});

it.each([
  ['operation_not_allowed', CloseReason.Forbidden, 1],
  // The tunnel that takes the room may be one whose end the agent is about to hear of.
  ['domain_limit', CloseReason.DomainLimit, 2],
])('ends the lease when the agent says %s for itself', async (code, closeCode, times) => {
  const { agentId, link } = await world.agent();
  const lease = await world.request(agentId);
  for (let time = 1; time <= times; time += 1) {
    const asked = await world.asked(link, time);
    expect(world.held.ended).toEqual([]);
    await world.control.parts.commands.end(asked.commandId, ['delivered'], {
      status: 'error',
      error: { code, message: 'not here' },
    });
    if (time === times) break;
    await eventually(() => world.control.parts.lines.some(({ msg }) => msg === 'the agent has not dialled'), {
      what: 'a word',
    });
    await settle();
    await world.clock.advance(1_000);
  }
  await eventually(() => world.held.ended.length === 1, { what: 'the end of the lease' });
  expect(world.held.ended).toMatchObject([{ tunnelId: lease.tunnelId, end: { code: closeCode } }]);
  expect(world.held.ended[0]?.end.reason).toContain('not here');
});

it("asks for the agent's end at once when it is lost, and goes on where it was", async () => {
  const { link, lease, agent, operator } = await world.connected();
  const channel = await openChannel(operator);
  agent.pair.cut();
  await channel.send(bytes('kept'));
  const asked = await world.asked(link, 2);
  expect(lease.state).toBe('grace');
  await world.dial(lease, asked, agent);
  await eventually(() => lease.bytes.up === 4, { what: 'the bytes to pass' });
  expect(lease.state).toBe('active');
});

it('does not ask an agent that is offline, and asks it when it is back', async () => {
  const { agentId, link, lease, agent } = await world.connected();
  await world.control.disconnect(link);
  agent.pair.cut();
  await eventually(() => lease.state === 'grace', { what: 'grace' });
  const next = await world.control.connect(agentId);
  expect(next.sent).toEqual([]);
  world.tunnels.linkUp(next);
  await world.dial(lease, await world.asked(next), agent);
  await eventually(() => lease.state === 'active', { what: 'both ends' });
});

it('lets a second connection of its operator take the place of the first', async () => {
  const { lease, operator } = await world.connected();
  await world.attach(lease);
  await eventually(() => operator.lost.length === 1, { what: 'the first to be told' });
  expect(operator.lost).toMatchObject([{ code: WsClose.Superseded }]);
});

it('is not in grace when the leg that was replaced is lost at the same moment', async () => {
  const { lease, operator } = await world.connected();
  const { leases } = world.held;
  const legUp = leases.legUp.bind(leases);
  vi.spyOn(leases, 'legUp').mockImplementationOnce(async (...args) => {
    await legUp(...args);
    operator.pair.cut();
    await settle();
  });
  await world.attach(lease);
  await settle();
  expect(lease).toMatchObject({ state: 'active', legs: { operator: true, agent: true } });
});

it('refuses everybody else, but for who may take over', async () => {
  const ann = await world.held.people.person('ann', 'operator');
  const bob = await world.held.people.person('bob', 'operator');
  const eve = await world.held.people.person('eve', 'viewer');
  const root = await world.held.people.person('carl', 'admin');
  const { lease, operator } = await world.connected({ protocol: 'tcp' }, ann.actor);
  await expect(world.tunnels.admitOperator(bob.actor, lease.tunnelId)).rejects.toMatchObject({
    code: 'already_connected',
  });
  await expect(world.tunnels.admitOperator(eve.actor, lease.tunnelId)).rejects.toMatchObject({ code: 'forbidden' });
  await world.attach(lease, root.actor);
  await eventually(() => operator.lost.length === 1, { what: 'ann to be told' });
  await eventually(
    () => world.held.recorded.some(({ verb, actor }) => verb === 'tunnel.attach' && actor === actorText(root.actor)),
    {
      what: 'the record of who took over',
    },
  );
});

it('does not take the token of one operator from another', async () => {
  const ann = await world.held.people.person('ann', 'operator');
  const root = await world.held.people.person('carl', 'admin');
  const { lease } = await world.connected({ protocol: 'tcp' }, ann.actor);
  const end = world.end('operator');
  const issued = await world.tokens.issue(
    {
      sub: lease.agentId,
      tunnel_id: lease.tunnelId,
      port: lease.port,
      protocol: 'tcp',
      domain: 'tcp',
      operator: actorText(ann.actor),
    },
    'tunnel-operator',
  );
  const serving = world.tunnels.serveOperator(root.actor, lease, end.pair.a, {
    address: 'x',
    authenticated: () => undefined,
  });
  const said = {
    agent_id: lease.agentId,
    tunnel_id: lease.tunnelId,
    token: issued,
    protocol: 'tcp',
    instance: end.instance,
  };
  await expect(connectLeg(end.pair.b, said, world.clock)).rejects.toMatchObject({ code: 'auth_failed' });
  await serving;
  expect(world.refused).toMatchObject([{ verb: 'tunnel.attach', result: 'denied', actor: actorText(root.actor) }]);
});

it('drops an operator whose right is gone', async () => {
  const ann = await world.held.people.person('ann', 'operator');
  const { operator } = await world.connected({ protocol: 'tcp' }, ann.actor);
  const stop = new AbortController();
  const watching = world.held.people.access.run(stop.signal);
  await world.held.people.users.update(ann.user.id, { roles: [{ role: 'viewer', selector: '' }] }, ADMIN);
  await world.clock.advance(1_000);
  expect(await operator.tunnel.ended).toMatchObject({ code: CloseReason.Forbidden });
  stop.abort();
  await watching;
});

it.each<[string, object, string]>([
  ['another protocol', { protocol: 'ssh', metadata: {} }, 'forbidden'],
  ['another target than the lease has', { protocol: 'tcp', metadata: { host: '127.0.0.1', port: 81 } }, 'forbidden'],
  ['no port', { protocol: 'tcp', metadata: {} }, 'invalid_request'],
  ['a port that is none', { protocol: 'tcp', metadata: { port: 'ssh' } }, 'invalid_request'],
])('lets no channel open that names %s', async (_what, request, code) => {
  const { operator } = await world.connected({ protocol: 'tcp', target: { host: '127.0.0.1', port: 80 } });
  const opening = operator.tunnel.open({ protocol: 'tcp', ...request });
  await expect(opening).rejects.toMatchObject({ code });
  await openChannel(operator);
});

it('lets no agent open channels', async () => {
  const { agent } = await world.connected();
  await expect(openChannel(agent)).rejects.toMatchObject({ code: 'forbidden' });
});

it('tells both ends when the lease ends, and an agent without an end by its link', async () => {
  const { link, lease, agent, operator } = await world.connected();
  agent.pair.cut();
  await world.asked(link, 2);
  await world.held.leases.end(lease.tunnelId, { code: CloseReason.Ok, reason: 'enough' }, 'system');
  expect(await operator.tunnel.ended).toMatchObject({ code: CloseReason.Ok, reason: 'enough', by: 'peer' });
  const told = await world.control.delivered(link, 3);
  expect(told.at(-1)?.payload).toMatchObject({
    operation: 'tunnel.close',
    params: { tunnel_id: lease.tunnelId, reason: 'enough' },
  });
});

it('ends the lease when an end does', async () => {
  const { lease, operator } = await world.connected();
  operator.tunnel.close(CloseReason.Ok, '');
  await eventually(() => world.held.leases.find(lease.tunnelId) === undefined, { what: 'the end of the lease' });
  expect(world.held.ended).toMatchObject([{ end: { code: CloseReason.Ok, reason: 'closed by the operator' } }]);
});

it('ends both ends when nothing but heartbeats passed for an hour', async () => {
  const { agent, operator } = await world.connected();
  for (let quarters = 0; quarters < 4; quarters += 1) {
    await world.clock.advance(900_000);
    await world.held.leases.sweep();
  }
  expect(await operator.tunnel.ended).toMatchObject({ code: CloseReason.IdleTimeout });
  expect(await agent.tunnel.ended).toMatchObject({ code: CloseReason.IdleTimeout });
});

it('keeps a tunnel through which something passes', async () => {
  const { lease, operator } = await world.connected();
  const channel = await openChannel(operator);
  for (let halves = 0; halves < 4; halves += 1) {
    await world.clock.advance(1_800_000);
    await channel.send(bytes('.'));
    await eventually(() => lease.bytes.up === halves + 1, { what: 'the byte' });
    await world.held.leases.sweep();
  }
  expect(operator.tunnel.isFlowing).toBe(true);
});

it('goes on after a restart of the control plane, byte for byte', async () => {
  const { agentId, lease, agent, operator } = await world.connected();
  const channel = await openChannel(operator);
  await channel.send(bytes('before '));
  await world.restart();
  await channel.send(bytes('after'));
  const again = world.held.leases.find(lease.tunnelId);
  if (again === undefined) throw new Error('the lease is gone');
  expect(again.state).toBe('grace');
  const link = await world.control.connect(agentId);
  world.tunnels.linkUp(link);
  await world.dial(again, await world.asked(link), agent);
  await world.attach(again, undefined, operator);
  await eventually(() => again.bytes.up >= 5, { what: 'what was said meanwhile' });
  expect(operator.tunnel.isFlowing).toBe(true);
});

it('ends with 2 when an end stays away for its grace', async () => {
  const { lease, agent, operator } = await world.connected();
  operator.pair.cut();
  await eventually(() => lease.state === 'grace', { what: 'grace' });
  await world.clock.advance(lease.graceSeconds * 1000);
  await world.held.leases.sweep();
  expect(await agent.tunnel.ended).toMatchObject({ code: CloseReason.GraceExpired });
  await expect(world.attach(lease)).rejects.toBeInstanceOf(ControlError);
});

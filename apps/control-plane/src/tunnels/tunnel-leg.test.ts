import { randomUUID } from 'node:crypto';
import { FrameType, LIMITS, PROTOCOL_VERSION, WsClose, decodeFrame, encodeFrame } from '@drawbridge/protocol';
import type { ConnectPayload } from '@drawbridge/protocol';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { RecordedLink } from '../control-plane-fixture.ts';
import { TunnelsFixture, connectFrame } from './tunnels-fixture.ts';
import type { AskedTunnel } from './tunnels-fixture.ts';

let world: TunnelsFixture;
let link: RecordedLink;
let agentId: string;
beforeEach(async () => {
  world = await TunnelsFixture.make();
  agentId = await world.control.addAgent();
  link = await world.control.connect(agentId);
});
afterEach(() => world[Symbol.asyncDispose]());

it.each<[string, (tunnel: AskedTunnel) => string | Uint8Array, string]>([
  ['speaks text', () => 'hello', 'protocol_error'],
  ['sends no whole frame', () => new Uint8Array(3), 'protocol_error'],
  ['says something else first', () => frame(FrameType.Data), 'protocol_error'],
  [
    'connects on a channel',
    (tunnel) => encodeFrame({ ...decodeFrame(connectFrame(tunnel)), channelId: 1 }),
    'protocol_error',
  ],
  ['connects without a word', () => frame(FrameType.Connect), 'protocol_error'],
  ['names another agent', saying({ agent_id: randomUUID() }), 'auth_failed'],
  ['names another tunnel', saying({ tunnel_id: randomUUID() }), 'auth_failed'],
  ['speaks a later version', saying({ version: PROTOCOL_VERSION + 1 }), 'auth_failed'],
  ['has a forged token', saying({ token: 'eyJ.eyJ.x' }), 'auth_failed'],
])('is refused when it %s, and keeps nobody from the right one', async (_what, message, code) => {
  const wanted = world.want(agentId);
  const tunnel = await world.asked(link);
  const { refusal, closed, served, isAuthenticated } = await world.refused(world.leg(tunnel), message(tunnel));
  expect(refusal).toMatchObject({ code, retryable: false });
  expect(closed).toEqual({ code: WsClose.PolicyViolation, reason: code });
  expect(isAuthenticated()).toBe(false);
  await served;
  expect(world.control.parts.lines).toContainEqual(
    expect.objectContaining({ level: 'warn', msg: 'tunnel leg refused', agentId, code }),
  );
  await world.dial(tunnel);
  expect((await wanted).protocol).toBe('task');
});

it.each(['another agent', 'another tunnel'])('is refused with a token for %s', async (what) => {
  void world.want(agentId);
  const tunnel = await world.asked(link);
  const sub = what === 'another agent' ? randomUUID() : agentId;
  const claims = { tunnel_id: what === 'another agent' ? tunnel.tunnelId : randomUUID(), port: 0, domain: '' };
  const token = await world.tokens.issue({ sub, protocol: 'system', ...claims });
  const { refusal } = await world.refused(world.leg(tunnel), connectFrame(tunnel, { token }));
  expect(refusal.code).toBe('auth_failed');
});

it('is refused when nobody waits for that tunnel, though its token is good', async () => {
  const tunnelId = randomUUID();
  const token = await world.tokens.issue({
    sub: agentId,
    tunnel_id: tunnelId,
    port: 0,
    protocol: 'system',
    domain: '',
  });
  const stray = { agentId, tunnelId, token, commandId: '' };
  const { refusal } = await world.refused(world.leg(stray), connectFrame(stray));
  expect(refusal).toMatchObject({ code: 'auth_failed', message: 'nobody waits for this tunnel' });
});

it('is refused when it comes a second time with the same token, and the first goes on', async () => {
  const { channel, leg, tunnel } = await world.opened(link);
  const thief = await world.refused(world.leg(tunnel), connectFrame(tunnel));
  expect(thief.refusal).toMatchObject({ code: 'auth_failed', message: 'the tunnel token was used before' });
  await channel.send(Uint8Array.of(1));
  expect(leg.tunnel.channels).toBe(1);
  expect(world.tunnels.size).toBe(1);
});

it('is refused when it comes a second time with a token of its own', async () => {
  const { tunnel } = await world.opened(link);
  const token = await world.tokens.issue({
    sub: agentId,
    tunnel_id: tunnel.tunnelId,
    port: 0,
    protocol: 'system',
    domain: '',
  });
  const second = await world.refused(world.leg(tunnel), connectFrame(tunnel, { token }));
  expect(second.refusal.message).toBe('nobody waits for this tunnel');
  expect(world.tunnels.list()).toMatchObject([{ isOpen: true }]);
});

it('has ten seconds for its first word', async () => {
  void world.want(agentId);
  const leg = world.leg(await world.asked(link));
  const refused = world.refused(leg);
  await world.control.clock.advance(LIMITS.connectTimeoutMs);
  expect((await refused).refusal).toMatchObject({ code: 'auth_failed', message: 'no CONNECT within 10 s' });
});

function frame(type: FrameType): Uint8Array {
  return encodeFrame({ type, flags: 0, channelId: 0, payload: new Uint8Array() });
}

function saying(other: Partial<ConnectPayload>): (tunnel: AskedTunnel) => Uint8Array {
  return (tunnel) => connectFrame(tunnel, other);
}

import { randomUUID } from 'node:crypto';
import type { Channel } from '@drawbridge/link';
import { ClosePayload, CloseReason, ErrorPayload, FrameFlag, FrameType, decodeJson } from '@drawbridge/protocol';
import { eventually, settle } from '@drawbridge/testkit';
import { describe, expect, it } from 'vitest';
import { TunnelsWorld } from './agent-tunnels-fixture.ts';
import { CONNECT_ACK, TunnelServer } from './tunnel-server-fixture.ts';

describe("the agent's own limits", () => {
  it.each([
    ['ps', 'ps', 'ps'],
    ['rdp', 'vnc', 'rdp_vnc_webrtc'],
    ['webrtc', 'rdp', 'rdp_vnc_webrtc'],
  ])('refuse a tunnel for %s beside one for %s, whatever the control plane asked', async (first, second, group) => {
    await using world = await TunnelsWorld.make();
    await world.open(randomUUID(), first);
    await expect(world.open(randomUUID(), second)).rejects.toMatchObject({
      code: 'domain_limit',
      message: `tunnels.domains.${group}: this agent allows 1 at a time`,
    });
    expect(world.server.legs).toHaveLength(1);
    expect(world.tunnels.size).toBe(1);
  });

  it('count each domain by itself, and not at all with 0', async () => {
    await using world = await TunnelsWorld.make({ domains: { ps: 1, rdp_vnc_webrtc: 1, ssh: 2, winrm: 0 } });
    for (const protocol of ['ps', 'vnc', 'ssh', 'ssh', 'winrm', 'winrm', 'winrm', 'tcp', 'tcp'])
      await world.open(randomUUID(), protocol);
    await expect(world.open(randomUUID(), 'ssh')).rejects.toMatchObject({ code: 'domain_limit' });
    expect(world.tunnels.size).toBe(9);
  });

  it('count a tunnel that is still being dialled, until that has failed', async () => {
    await using world = await TunnelsWorld.make();
    world.server.answers = 'by hand';
    const dialling = world.open(randomUUID(), 'ps');
    const leg = await world.server.leg(1);
    await expect(world.open(randomUUID(), 'ps')).rejects.toMatchObject({ code: 'domain_limit' });
    leg.refuse('auth_failed');
    await expect(dialling).rejects.toMatchObject({ code: 'auth_failed' });
    world.server.answers = 'at once';
    await world.open(randomUUID(), 'ps');
  });

  it('count a tunnel that is dialled twice until neither is under way', async () => {
    await using world = await TunnelsWorld.make();
    world.server.answers = 'by hand';
    const tunnelId = randomUUID();
    const twice = [world.open(tunnelId, 'ps'), world.open(tunnelId, 'ps')];
    const outcomes = Promise.allSettled(twice);
    const [first, second] = [await world.server.leg(1), await world.server.leg(2)];
    first.refuse('auth_failed');
    await expect(Promise.race(twice)).rejects.toMatchObject({ code: 'auth_failed' });
    await expect(world.open(randomUUID(), 'ps')).rejects.toMatchObject({ code: 'domain_limit' });
    second.agree();
    expect((await outcomes).map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    expect(world.tunnels.size).toBe(1);
  });

  it('do not count the same tunnel twice when it is asked for again', async () => {
    await using world = await TunnelsWorld.make();
    const tunnelId = randomUUID();
    await world.open(tunnelId, 'ps');
    await world.open(tunnelId, 'ps');
    expect(world.server.legs).toHaveLength(2);
    expect(world.tunnels.size).toBe(1);
  });

  it('are free again once the tunnel is over', async () => {
    await using world = await TunnelsWorld.make();
    const tunnelId = randomUUID();
    await world.open(tunnelId, 'ps');
    world.tunnels.close(tunnelId, 'enough');
    await eventually(() => world.tunnels.size === 0, { what: 'the end of the tunnel' });
    await world.open(randomUUID(), 'ps');
  });
});

describe('a tunnel', () => {
  it('says who it is: path and CONNECT name agent, tunnel, protocol and domain', async () => {
    await using world = await TunnelsWorld.make();
    const tunnelId = randomUUID();
    await world.open(tunnelId, 'ssh');
    const leg = await world.server.leg(1);
    expect(leg.path).toBe(`/ws/agents/${world.agentId}/tunnels/${tunnelId}`);
    expect(await leg.connect()).toMatchObject({
      agent_id: world.agentId,
      tunnel_id: tunnelId,
      protocol: 'ssh',
      domain: 'ssh',
      version: 1,
    });
  });

  it('that lost its leg goes on by way of the next one: the same end, with its channels', async () => {
    const channels: Channel[] = [];
    await using world = await TunnelsWorld.make({ channels: { tcp: (offer) => void channels.push(offer.accept()) } });
    const tunnelId = randomUUID();
    await world.open(tunnelId);
    const first = await world.server.leg(1);
    await first.flow(1);
    first.say(FrameType.ChannelOpen, 1, { protocol: 'tcp', metadata: {}, window: 1000 });
    await first.hears(FrameType.ChannelAck, 1);
    first.cut();
    await eventually(() => world.said.lines.some(({ msg }) => String(msg).includes('it waits for the next')), {
      what: 'the loss of the leg',
    });
    expect(world.tunnels.size).toBe(1);
    await channels[0]?.send(Buffer.from('still here'));
    await world.open(tunnelId);
    const second = await world.server.leg(2);
    expect((await second.connect()).instance).toBe((await first.connect()).instance);
    await second.flow(2, 1);
    expect(Buffer.from((await second.hears(FrameType.Data, 1)).payload).toString()).toBe('still here');
  });

  it('takes the newest leg, and lets the one before go', async () => {
    await using world = await TunnelsWorld.make();
    const tunnelId = randomUUID();
    await world.open(tunnelId);
    await world.open(tunnelId);
    await (await world.server.leg(1)).closed();
    const second = await world.server.leg(2);
    await second.flow(1);
    expect(second.end).toBeUndefined();
  });

  it('is another end than the one of the same name that is over', async () => {
    await using world = await TunnelsWorld.make();
    const tunnelId = randomUUID();
    await world.open(tunnelId);
    world.tunnels.close(tunnelId, 'enough');
    await eventually(() => world.tunnels.size === 0, { what: 'the end of the tunnel' });
    await world.open(tunnelId);
    const [first, second] = [await world.server.leg(1), await world.server.leg(2)];
    expect((await second.connect()).instance).not.toBe((await first.connect()).instance);
  });

  it('that ends while its next leg is dialled does not begin anew on that leg', async () => {
    await using world = await TunnelsWorld.make();
    const tunnelId = randomUUID();
    await world.open(tunnelId);
    world.server.answers = 'by hand';
    const again = world.open(tunnelId);
    const leg = await world.server.leg(2);
    world.tunnels.close(tunnelId, 'enough');
    await eventually(() => world.tunnels.size === 0, { what: 'the end of the tunnel' });
    leg.agree();
    await expect(again).rejects.toMatchObject({ code: 'conflict' });
    expect(await leg.closed()).toMatchObject({ code: 1006 });
    expect(world.tunnels.size).toBe(0);
  });

  it('is closed by command, with the reason', async () => {
    await using world = await TunnelsWorld.make();
    const tunnelId = randomUUID();
    await world.open(tunnelId);
    world.tunnels.close(tunnelId, 'closed by its operator');
    const leg = await world.server.leg(1);
    const close = decodeJson(ClosePayload, (await leg.hears(FrameType.Close)).payload);
    expect(close).toEqual({ code: CloseReason.Ok, reason: 'closed by its operator' });
    expect(await leg.closed()).toMatchObject({ code: 1000 });
    expect(() => world.tunnels.close(randomUUID(), 'unknown')).not.toThrow();
  });

  it('ends by itself when no leg comes within the grace of CONNECT_ACK', async () => {
    await using world = await TunnelsWorld.make();
    await world.open(randomUUID());
    (await world.server.leg(1)).cut();
    await eventually(() => world.said.lines.some(({ msg }) => String(msg).includes('it waits for the next')), {
      what: 'the loss of the leg',
    });
    await world.clock.advance(CONNECT_ACK.grace_seconds * 1000 - 1);
    expect(world.tunnels.size).toBe(1);
    await world.clock.advance(1);
    await settle();
    expect(world.tunnels.size).toBe(0);
    expect(world.said.lines.at(-1)).toMatchObject({ msg: 'tunnel closed', code: CloseReason.GraceExpired });
  });

  it.each([7, 3])('beats as often as CONNECT_ACK says: every %i s', async (seconds) => {
    await using world = await TunnelsWorld.make();
    world.server.ack = { ...CONNECT_ACK, heartbeat_seconds: seconds };
    await world.open(randomUUID());
    const leg = await world.server.leg(1);
    const beats = () => leg.heard.filter(({ type }) => type === FrameType.Heartbeat).length;
    await eventually(() => beats() === 1, { what: 'the first beat' });
    for (let count = 2; count < 5; count += 1) {
      await world.clock.advance(seconds * 1000 - 1);
      // A frame that is answered was sent after any beat that came too soon.
      leg.say(FrameType.Resume, 0, { epoch: count, peer_instance: randomUUID() });
      await eventually(() => leg.heard.filter(({ type }) => type === FrameType.Resume).length === count - 1, {
        what: 'the answer',
      });
      expect(beats()).toBe(count - 1);
      await world.clock.advance(1);
      await eventually(() => beats() === count, { what: `beat ${count}` });
    }
  });
});

describe('the end of the agent', () => {
  it('tells every tunnel with CLOSE 6, and leaves nothing', async () => {
    await using world = await TunnelsWorld.make();
    for (let count = 0; count < 3; count += 1) await world.open(randomUUID());
    const waiting = randomUUID();
    await world.open(waiting);
    const [first, second, third, lost] = await Promise.all([1, 2, 3, 4].map((count) => world.server.leg(count)));
    lost?.cut();
    await eventually(() => world.said.lines.some(({ msg }) => String(msg).includes('it waits for the next')), {
      what: 'the loss of a leg',
    });
    await world.tunnels[Symbol.asyncDispose]();
    for (const leg of [first, second, third]) {
      const close = await leg?.hears(FrameType.Close);
      expect(close && decodeJson(ClosePayload, close.payload)).toMatchObject({ code: CloseReason.AgentShutdown });
      expect(await leg?.closed()).toMatchObject({ code: 1000 });
    }
    expect(world.tunnels.size).toBe(0);
    expect(world.clock.pending).toBe(0);
  });

  it('lets no tunnel begin that was still being dialled', async () => {
    await using world = await TunnelsWorld.make();
    world.server.answers = 'by hand';
    const dialling = world.open(randomUUID());
    const leg = await world.server.leg(1);
    await world.tunnels[Symbol.asyncDispose]();
    leg.agree();
    await expect(dialling).rejects.toMatchObject({ code: 'conflict' });
    expect(await leg.closed()).toMatchObject({ code: 1006 });
    expect(world.tunnels.size).toBe(0);
    expect(world.clock.pending).toBe(0);
  });
});

describe('what the agent serves', () => {
  it("refuses channels that its own file denies, and those that it does not know, by the operation's name", async () => {
    const asked: string[] = [];
    const served: string[] = [];
    const serve = ({ protocol }: { readonly protocol: string }) => void served.push(protocol);
    await using world = await TunnelsWorld.make({
      channels: { tcp: serve, ssh: serve },
      isAllowed: (operation) => {
        asked.push(operation);
        return operation !== 'channel.tcp';
      },
    });
    await world.open(randomUUID());
    const leg = await world.server.leg(1);
    await leg.flow(1);
    const open = async (channelId: number, protocol: string) => {
      leg.say(FrameType.ChannelOpen, channelId, { protocol, metadata: {}, window: 1000 });
      const answer = await leg.hears(FrameType.ChannelAck, channelId);
      expect(answer.flags).toBe(FrameFlag.Err);
      return decodeJson(ErrorPayload, answer.payload).code;
    };
    expect(await open(1, 'tcp')).toBe('operation_not_allowed');
    expect(await open(3, 'toString')).toBe('unsupported');
    leg.say(FrameType.ChannelOpen, 5, { protocol: 'ssh', metadata: {}, window: 1000 });
    await eventually(() => served.length > 0, { what: 'the ssh channel' });
    expect(served).toEqual(['ssh']);
    expect(asked).toEqual(['channel.tcp', 'channel.ssh']);
  });

  it('dials the port it was told, and only with a token for that port', async () => {
    await using world = await TunnelsWorld.make();
    await using other = await TunnelServer.start(world.clock);
    const tunnelId = randomUUID();
    await expect(world.open(tunnelId, 'tcp', { port: other.port })).rejects.toMatchObject({
      code: 'auth_failed',
      message: 'the tunnel token is for another port',
    });
    expect([world.server.legs, other.legs]).toEqual([[], []]);
    const token = await world.server.token(world.agentId, tunnelId, { port: other.port });
    await world.open(tunnelId, 'tcp', { port: other.port, token });
    expect([world.server.legs.length, other.legs.length]).toEqual([0, 1]);
  });

  it('counts how often a channel had data and no credit, tunnels that are over included', async () => {
    const channels: Channel[] = [];
    await using world = await TunnelsWorld.make({ channels: { tcp: (offer) => void channels.push(offer.accept()) } });
    const tunnelId = randomUUID();
    await world.open(tunnelId);
    const leg = await world.server.leg(1);
    await leg.flow(1);
    leg.say(FrameType.ChannelOpen, 1, { protocol: 'tcp', metadata: {}, window: 10 });
    await leg.hears(FrameType.ChannelAck, 1);
    await channels[0]?.send(Buffer.alloc(10));
    expect(world.tunnels.creditStalls).toBe(0);
    const sending = channels[0]?.send(Buffer.alloc(1)).catch(() => undefined);
    await eventually(() => world.tunnels.creditStalls, { what: 'a stall', until: (stalls) => stalls === 1 });
    world.tunnels.close(tunnelId, 'enough');
    await eventually(() => world.tunnels.size === 0, { what: 'the end of the tunnel' });
    await sending;
    expect(world.tunnels.creditStalls).toBe(1);
  });
});

import type { Channel } from '@drawbridge/link';
import { CloseReason, LIMITS } from '@drawbridge/protocol';
import { eventually, settle } from '@drawbridge/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RecordedLink } from '../control-plane-fixture.ts';
import { TunnelsFixture, connectFrame } from './tunnels-fixture.ts';
import type { AskedTunnel, OpenedTunnel } from './tunnels-fixture.ts';

const OPEN_TIMEOUT_MS = LIMITS.dialTimeoutMs + LIMITS.connectTimeoutMs;

let world: TunnelsFixture;
let link: RecordedLink;
let agentId: string;
beforeEach(async () => {
  world = await TunnelsFixture.make();
  agentId = await world.control.addAgent();
  link = await world.control.connect(agentId, { instance: 'first' });
});
afterEach(() => world[Symbol.asyncDispose]());

/** Somebody wants a channel to the agent. */
function want(protocol = 'task', signal?: AbortSignal): Promise<Channel> {
  return world.want(agentId, protocol, signal);
}

/** The tunnel that the agent was told to dial; `nth` counts from 1. */
async function asked(nth = 1): Promise<AskedTunnel> {
  return world.asked(link, nth);
}

function opened(nth = 1): Promise<OpenedTunnel> {
  return world.opened(link, nth);
}

function gone(): Promise<boolean> {
  return eventually(() => world.tunnels.size === 0, { what: 'the tunnel to be forgotten' });
}

describe('opening', () => {
  it('tells the agent to dial when somebody needs a channel, and not before', async () => {
    expect([world.tunnels.size, link.sent]).toEqual([0, []]);
    const wanted = want();
    const tunnel = await asked();
    expect(world.tunnels.list()).toMatchObject([{ agentId, tunnelId: tunnel.tunnelId, isOpen: false, channels: 0 }]);
    const offers: unknown[] = [];
    const leg = await world.dial(tunnel, (offer) => {
      offers.push({ protocol: offer.protocol, metadata: offer.metadata });
      offer.accept({ size: 7 });
    });
    expect((await wanted).metadata).toEqual({ size: 7 });
    expect(offers).toEqual([{ protocol: 'task', metadata: { of: 'task' } }]);
    expect(leg.isAuthenticated()).toBe(true);
    expect(world.tunnels.list()).toMatchObject([{ tunnelId: tunnel.tunnelId, isOpen: true, channels: 1 }]);
  });

  it('is done once an agent, however many want a channel, and for each agent by itself', async () => {
    const other = await world.control.addAgent();
    const otherLink = await world.control.connect(other);
    const both = [want('one'), want('two')];
    const elsewhere = world.want(other);
    await world.dial(await asked());
    await world.dial(await world.asked(otherLink));
    const channels = await Promise.all([...both, elsewhere, want('three')]);
    expect(channels.map(({ protocol }) => protocol)).toEqual(['one', 'two', 'task', 'three']);
    expect(await world.control.delivered(link, 1)).toHaveLength(1);
    expect(world.tunnels.list().map((tunnel) => [tunnel.agentId, tunnel.channels])).toEqual([
      [agentId, 3],
      [other, 1],
    ]);
  });

  it('is recorded, and so is its end, with the tunnel and the reason; who opened a channel is in the log', async () => {
    const { channel, tunnel } = await opened();
    world.tunnels.close(agentId, CloseReason.Forbidden, 'enough');
    await gone();
    const details = { tunnel_id: tunnel.tunnelId };
    await eventually(() => world.recorded, { what: 'both records', until: (all) => all.length === 2 });
    expect(world.recorded).toMatchObject([
      { verb: 'tunnel.open', agentId, details, result: 'allowed' },
      { verb: 'tunnel.close', agentId, details, reason: 'enough' },
    ]);
    expect(world.control.parts.lines).toContainEqual(
      expect.objectContaining({ msg: 'channel open', channelId: channel.id, protocol: 'task', actor: 'user:ann' }),
    );
  });

  it('is refused at once while the agent is offline, and tried anew the next time', async () => {
    await world.control.disconnect(link);
    await expect(want()).rejects.toMatchObject({ code: 'agent_offline' });
    expect(world.tunnels.size).toBe(0);
    link = await world.control.connect(agentId);
    await opened();
  });

  it('fails with what the agent says, and is tried anew the next time', async () => {
    const wanted = want();
    const { commandId } = await asked();
    const error = { code: 'forbidden', message: 'no pinned key' } as const;
    await world.control.parts.inbox.ended(link, commandId, { status: 'error', error });
    await expect(wanted).rejects.toMatchObject({
      code: 'tunnel_unavailable',
      message: expect.stringMatching(/no pinned key/),
    });
    expect(world.tunnels.size).toBe(0);
    await opened(2);
  });

  it.each([
    ['says nothing', async () => undefined],
    [
      'says that it has dialled, and has not',
      async ({ commandId, tunnelId }: AskedTunnel) => {
        await world.control.parts.inbox.ended(link, commandId, { status: 'success', data: { tunnel_id: tunnelId } });
      },
    ],
  ])('is given up after twenty seconds when the agent %s', async (_what, answer) => {
    const wanted = want();
    await answer(await asked());
    let hasFailed = false;
    wanted.catch(() => (hasFailed = true));
    await world.control.clock.advance(OPEN_TIMEOUT_MS - 1);
    expect(hasFailed).toBe(false);
    await world.control.clock.advance(1);
    await expect(wanted).rejects.toMatchObject({
      code: 'tunnel_unavailable',
      message: expect.stringMatching(/within 20 s/),
    });
    expect(world.tunnels.size).toBe(0);
  });

  it('leaves no timer behind', async () => {
    const { leg } = await opened();
    world.tunnels.closeAll();
    await leg.served;
    await eventually(() => world.control.clock.pending === 0, { what: 'every timer to be cancelled' });
  });

  it('is waited for no longer by somebody who has left, and goes on for the others', async () => {
    const leave = new AbortController();
    const left = want('task', leave.signal);
    const stayed = want();
    const tunnel = await asked();
    leave.abort(new Error('left'));
    await expect(left).rejects.toThrow('left');
    await world.dial(tunnel);
    expect((await stayed).protocol).toBe('task');
  });
});

describe('a tunnel', () => {
  it('is closed after five minutes without a channel, and opened anew by the next one', async () => {
    const { channel, leg } = await opened();
    channel.close({ code: CloseReason.Ok, reason: 'read' });
    await settle();
    await world.control.clock.advance(LIMITS.systemTunnelIdleMs - 15_000);
    expect(world.tunnels.size).toBe(1);
    await world.control.clock.advance(30_000);
    expect(await leg.tunnel.ended).toMatchObject({ code: CloseReason.IdleTimeout, by: 'peer' });
    await gone();
    await opened(2);
  });

  it('stays open while there is a channel, and counts from the last one’s end', async () => {
    const { channel } = await opened();
    await world.control.clock.advance(3 * LIMITS.systemTunnelIdleMs);
    channel.close({ code: CloseReason.Ok, reason: 'read' });
    await settle();
    await world.control.clock.advance(LIMITS.systemTunnelIdleMs - 15_000);
    expect(world.tunnels.list()).toMatchObject([{ isOpen: true, channels: 0 }]);
    await world.control.clock.advance(30_000);
    await gone();
  });

  it('that was lost ends its channels, and is opened anew by the next one', async () => {
    const { channel, leg } = await opened();
    leg.pair.cut();
    expect(await channel.ended).toMatchObject({ code: CloseReason.UnexpectedDisconnect });
    await leg.served;
    expect(world.tunnels.size).toBe(0);
    await opened(2);
  });

  it('is closed when another process of the agent takes over, and left alone when the same one comes back', async () => {
    const { leg } = await opened();
    world.tunnels.linkUp(await world.control.connect(agentId, { instance: 'first' }));
    expect(world.tunnels.size).toBe(1);
    world.tunnels.linkUp(await world.control.connect(agentId, { instance: 'second' }));
    expect(world.tunnels.size).toBe(0);
    expect(await leg.tunnel.ended).toMatchObject({ code: CloseReason.UnexpectedDisconnect, by: 'peer' });
  });

  it('of one agent is not closed because another agent takes over', async () => {
    await opened();
    const other = await world.control.addAgent();
    world.tunnels.linkUp(await world.control.connect(other, { instance: 'second' }));
    expect(world.tunnels.size).toBe(1);
  });

  it('that is still opening fails those who wait for it when another process takes over', async () => {
    const wanted = want();
    const tunnel = await asked();
    world.tunnels.linkUp(await world.control.connect(agentId, { instance: 'second' }));
    await expect(wanted).rejects.toMatchObject({ code: 'tunnel_unavailable' });
    const late = await world.refused(world.leg(tunnel), connectFrame(tunnel));
    expect(late.refusal.message).toBe('nobody waits for this tunnel');
  });

  it('ends with the control plane, open or opening, and so do its channels', async () => {
    const { channel, leg } = await opened();
    const other = await world.control.addAgent();
    const otherLink = await world.control.connect(other);
    const opening = world.want(other);
    await world.asked(otherLink);
    world.tunnels.closeAll();
    await expect(opening).rejects.toMatchObject({
      code: 'tunnel_unavailable',
      message: expect.stringMatching(/shutting down/),
    });
    expect(await leg.tunnel.ended).toMatchObject({ code: CloseReason.ServerShutdown });
    expect(await channel.ended).toMatchObject({ code: CloseReason.UnexpectedDisconnect });
    expect(world.tunnels.size).toBe(0);
  });
});

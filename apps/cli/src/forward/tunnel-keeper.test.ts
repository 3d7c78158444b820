import { ApiError, OperatorTunnel } from '@drawbridge/client';
import { CloseReason } from '@drawbridge/protocol';
import { expect, it } from 'vitest';
import { settle } from '../../../../packages/testkit/src/fake-clock.ts';
import { ScriptedRelay } from '../../../../packages/testkit/src/scripted-relay.ts';
import { TunnelKeeper } from './tunnel-keeper.ts';
import type { KeeperEvent } from './tunnel-keeper.ts';

const refusal = (code: string, status: number) => new ApiError({ code, message: code, status });

async function kept() {
  const relay = new ScriptedRelay();
  const { clock, api, dial } = relay;
  const events: KeeperEvent[] = [];
  const keeper = new TunnelKeeper({
    open: (onStatus, signal) =>
      OperatorTunnel.open({ agent_id: 'build-1', protocol: 'tcp' }, { api, dial, clock, onStatus }, signal),
    clock,
    random: () => 1,
    onEvent: (event) => events.push(event),
  });
  const stop = new AbortController();
  await keeper.start(stop.signal);
  await settle();
  const running = keeper.run(stop.signal).catch((error: unknown) => error);
  const told = () => events.map((event) => (event.is === 'waiting' ? `${event.reason} ${event.waitMs}` : event.is));
  return { relay, clock, keeper, stop, running, told };
}

it('asks for another lease when the agent shut down, and waits longer each time it is refused', async () => {
  const { relay, clock, keeper, told, stop, running } = await kept();
  relay.failures.request.push(refusal('agent_offline', 503), refusal('agent_offline', 503));
  relay.end({ code: CloseReason.AgentShutdown, reason: 'bye' });
  await clock.advance(1);
  const waiting = keeper.tunnel(stop.signal);
  await clock.advance(20_000);
  expect(told()).toEqual(['opened', 'ended', 'agent_offline 500', 'agent_offline 1000', 'opened']);
  expect(await waiting).toBe(keeper.current);
  stop.abort(new Error('stop'));
  await running;
  await keeper[Symbol.asyncDispose]();
});

it('asks for nothing after a lease that nobody used, until somebody does', async () => {
  const { relay, clock, keeper, told, stop, running } = await kept();
  relay.end({ code: CloseReason.IdleTimeout, reason: 'idle' });
  await clock.advance(3_600_000);
  expect(told()).toEqual(['opened', 'ended', 'idle']);
  expect(keeper.current).toBeUndefined();
  await keeper.tunnel(stop.signal);
  expect(told()).toEqual(['opened', 'ended', 'idle', 'opened']);
  stop.abort(new Error('stop'));
  await running;
  await keeper[Symbol.asyncDispose]();
});

it('does not ask without a pause when leases end as soon as they are there', async () => {
  const { relay, clock, keeper, told, stop, running } = await kept();
  for (let round = 0; round < 4; round += 1) {
    relay.end({ code: CloseReason.GraceExpired, reason: 'no' });
    await clock.advance(4_000);
  }
  expect(clock.sleeps).toEqual([500, 1000, 2000]);
  expect(told().filter((what) => what === 'opened')).toHaveLength(5);
  stop.abort(new Error('stop'));
  await running;
  await keeper[Symbol.asyncDispose]();
});

it.each([
  [CloseReason.Cancelled, 'cancelled'],
  [CloseReason.Forbidden, 'forbidden'],
])('gives up when somebody ended the lease (%i)', async (code, error) => {
  const { relay, keeper, running, stop } = await kept();
  relay.end({ code, reason: 'by ann' });
  expect(await running).toMatchObject({ code: error, message: 'the tunnel was ended: by ann' });
  await expect(keeper.tunnel(stop.signal)).rejects.toMatchObject({ code: error });
});

it('gives up when another lease is refused for good', async () => {
  const { relay, running } = await kept();
  const forbidden = refusal('forbidden', 403);
  relay.failures.request.push(forbidden);
  relay.end({ code: CloseReason.AgentShutdown, reason: 'bye' });
  expect(await running).toBe(forbidden);
});

it('closes the tunnel it has when it is disposed of', async () => {
  const { relay, keeper, stop, running, told } = await kept();
  stop.abort(new Error('stop'));
  await running;
  await keeper[Symbol.asyncDispose]();
  expect(relay.closed).toMatchObject({ code: CloseReason.Ok });
  expect(told()).toEqual(['opened']);
});

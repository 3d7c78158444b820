import { CloseReason, ControlError } from '@drawbridge/protocol';
import type { Channel } from '@drawbridge/link';
import { expect, it } from 'vitest';
import { settle } from '../../../testkit/src/fake-clock.ts';
import { ScriptedRelay } from '../../../testkit/src/scripted-relay.ts';
import { ApiError, UnreachableError } from '../errors.ts';
import { OperatorTunnel } from './operator-tunnel.ts';
import type { OperatorTunnelOptions, TunnelStatus } from './operator-tunnel.ts';

const REQUEST = { agent_id: 'build-1', protocol: 'tcp' } as const;
const PUBLIC = 'wss://public.test/ws/tunnel/33333333-3333-4333-8333-333333333333';
const OWN = 'ws://10.0.0.1/ws/tunnel/33333333-3333-4333-8333-333333333333';
const unreachable = () => new UnreachableError('http://a.test', new Error('nobody there'));

function world(more: Partial<OperatorTunnelOptions> = {}) {
  const far: Channel[] = [];
  const relay = new ScriptedRelay((offer) => far.push(offer.accept()));
  const { clock, api, dial } = relay;
  const statuses: TunnelStatus[] = [];
  const onStatus = (status: TunnelStatus) => statuses.push(status);
  const open = () => OperatorTunnel.open(REQUEST, { api, dial, clock, random: () => 1, onStatus, ...more });
  /** What became of it, in short. */
  const told = () =>
    statuses.map((status) =>
      status.is === 'reconnecting' ? status.waitMs : status.is === 'ended' ? status.end.code : status.is,
    );
  return { relay, clock, far, statuses, told, open };
}

async function opened(more: Partial<OperatorTunnelOptions> = {}) {
  const made = world(more);
  const tunnel = await made.open();
  await settle();
  return { ...made, tunnel };
}

async function heard(channel: Channel | undefined): Promise<string> {
  await settle();
  const item = await channel?.read();
  return item?.kind === 'data' ? Buffer.from(item.bytes).toString() : String(item?.kind);
}

it('goes on after a loss, at once, with a fresh token and as the same end: nothing is lost', async () => {
  const { relay, told, tunnel, far, clock } = await opened();
  const near = await tunnel.channel({ port: 80 });
  await near.send(Buffer.from('before'));
  expect(await heard(far[0])).toBe('before');
  relay.cut();
  await near.send(Buffer.from('meanwhile'));
  await settle();
  await settle();
  expect(await heard(far[0])).toBe('meanwhile');
  expect(told()).toEqual(['connected', 0, 'connected']);
  expect(relay.asked.map((what) => what.split(' ')[0])).toEqual(['request', 'dial', 'token', 'dial']);
  expect(new Set(relay.connects.map(({ instance }) => instance)).size).toBe(1);
  await tunnel.close();
  expect(clock.sleeps).toEqual([]);
});

it('waits longer after each dial that fails, 5 s at most, and goes on when one succeeds', async () => {
  const { relay, told, tunnel, clock } = await opened();
  relay.failures.dial.push(...Array.from({ length: 6 }, unreachable));
  relay.cut();
  await clock.advance(30_000);
  expect(told()).toEqual(['connected', 0, 250, 500, 1000, 2000, 4000, 5000, 'connected']);
  expect(tunnel.isFlowing).toBe(true);
  await tunnel.close();
});

it('asks again when a request for a token is not answered within 10 s', async () => {
  const { relay, told, tunnel, clock } = await opened();
  relay.failures.token.push(new Promise(() => undefined));
  relay.cut();
  await clock.advance(10_000);
  expect(told()).toEqual(['connected', 0, 250]);
  await clock.advance(250);
  expect(told()).toEqual(['connected', 0, 250, 'connected']);
  await tunnel.close();
});

it.each([
  [
    'a token is refused',
    (relay: ScriptedRelay) =>
      relay.failures.token.push(new ApiError({ code: 'forbidden', message: 'not yours', status: 403 })),
  ],
  ['CONNECT is refused', (relay: ScriptedRelay) => relay.failures.connect.push('forbidden')],
])('ends for good when %s and time does not heal it', async (_what, fail) => {
  const { relay, tunnel, clock } = await opened();
  const near = await tunnel.channel({ port: 80 });
  fail(relay);
  relay.cut();
  await settle();
  await clock.advance(1);
  expect(await tunnel.ended).toMatchObject({ code: CloseReason.UnexpectedDisconnect, by: 'here' });
  expect((await near.ended).code).toBe(CloseReason.UnexpectedDisconnect);
  expect(clock.sleeps).toEqual([]);
  await expect(tunnel.channel({ port: 80 })).rejects.toBeInstanceOf(ControlError);
});

it('ends, and takes nothing back, when somebody else connects', async () => {
  const { relay, tunnel } = await opened();
  relay.close(4001, 'superseded');
  expect(await tunnel.ended).toMatchObject({ reason: 'somebody else has connected to this tunnel' });
  expect(relay.asked.filter((what) => what === 'token')).toEqual([]);
});

it('ends the lease by request when it is closed while it reconnects', async () => {
  const { relay, tunnel, clock } = await opened();
  relay.failures.dial.push(unreachable(), unreachable());
  relay.cut();
  await clock.advance(100);
  await tunnel.close();
  expect(relay.asked.at(-1)).toBe('close');
  await clock.advance(60_000);
  expect(relay.asked.at(-1)).toBe('close');
  expect(await tunnel.ended).toMatchObject({ code: CloseReason.Ok, reason: 'closed by its operator' });
});

it('ends the lease with a word on the connection when there is one', async () => {
  const { relay, tunnel } = await opened();
  await tunnel.close();
  await tunnel.close();
  expect(relay.closed).toEqual({ code: CloseReason.Ok, reason: 'closed by its operator' });
  expect(relay.asked).not.toContain('close');
});

it('is over when nobody was reached for as long as its grace', async () => {
  const { relay, told, tunnel, clock } = await opened();
  relay.failures.token.push(...Array.from({ length: 100 }, unreachable));
  relay.cut();
  await clock.advance(relay.graceSeconds * 1000 + 1);
  expect(await tunnel.ended).toMatchObject({ code: CloseReason.GraceExpired, by: 'loss' });
  expect(told().at(-1)).toBe(CloseReason.GraceExpired);
  const asked = relay.asked.length;
  await clock.advance(60_000);
  expect(relay.asked).toHaveLength(asked);
});

it('leaves no lease behind when it cannot connect', async () => {
  const { relay, open } = world();
  relay.failures.connect.push('auth_failed');
  await expect(open()).rejects.toMatchObject({ code: 'auth_failed' });
  expect(relay.asked.at(-1)).toBe('close');
});

it('says why the lease is over when the agent would not have it', async () => {
  const { relay, open } = world();
  relay.over = { code: CloseReason.DomainLimit, reason: 'this agent allows 1 at a time' };
  relay.failures.dial.push(unreachable());
  await expect(open()).rejects.toMatchObject({
    code: 'domain_limit',
    message: 'the tunnel is over: this agent allows 1 at a time',
  });
});

it('is not there when the lease is refused', async () => {
  const { relay, open } = world();
  const refusal = new ApiError({ code: 'agent_offline', message: 'away', status: 503 });
  relay.failures.request.push(refusal);
  await expect(open()).rejects.toBe(refusal);
  expect(relay.asked).toEqual(['request']);
});

it("is dialled under the caller's own address, always", async () => {
  const { relay, tunnel, clock } = await opened({ url: 'http://10.0.0.1' });
  relay.failures.dial.push(unreachable());
  relay.cut();
  await clock.advance(1_000);
  expect(relay.asked.filter((what) => what.startsWith('dial'))).toEqual([`dial ${OWN}`, `dial ${OWN}`, `dial ${OWN}`]);
  await tunnel.close();
});

it('is dialled where the control plane says when that cannot be done the first time', async () => {
  const { relay, open, clock } = world({ url: 'http://10.0.0.1' });
  const failure = unreachable();
  relay.failures.dial.push(failure);
  const tunnel = await open();
  relay.cut();
  await clock.advance(1_000);
  expect(relay.asked.filter((what) => what.startsWith('dial'))).toEqual([
    `dial ${OWN}`,
    `dial ${PUBLIC}`,
    `dial ${PUBLIC}`,
  ]);
  await tunnel.close();
  relay.failures.dial.push(failure, unreachable());
  await expect(open()).rejects.toBe(failure);
});

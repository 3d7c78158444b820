import { CloseReason, ControlError, LIMITS } from '@drawbridge/protocol';
import type { Channel } from '@drawbridge/link';
import { eventually, settle } from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import { RelayedFixture } from './relayed-fixture.ts';
import type { Side } from './relay.ts';

const text = (value: string) => new TextEncoder().encode(value);

async function readText(channel: Channel, length: number): Promise<string> {
  let heard = '';
  while (heard.length < length) {
    const item = await channel.read();
    if (item === undefined) break;
    if (item.kind === 'data') heard += new TextDecoder().decode(item.bytes);
  }
  return heard;
}

it('carries channels both ways', async () => {
  await using relayed = RelayedFixture.connected();
  const { near, far } = await relayed.open();
  await near.send(text('question'));
  await far.send(text('answer'));
  expect(await readText(far, 8)).toBe('question');
  expect(await readText(near, 6)).toBe('answer');
  expect(relayed.opened).toEqual([{ side: 'operator', protocol: 'tcp' }]);
  expect(relayed.counts).toMatchObject({ resumed: 0, resentBytes: 0 });
});

it.each<[string, Side[]]>([
  ['the operator', ['operator']],
  ['the agent', ['agent']],
  ['both ends', ['operator', 'agent']],
])('goes on, byte for byte, when the leg of %s was lost', async (_name, sides) => {
  await using relayed = RelayedFixture.connected();
  const { near, far } = await relayed.open();
  await near.send(text('one '));
  expect(await readText(far, 4)).toBe('one ');
  for (const side of sides) relayed.cut(side);
  await near.send(text('two '));
  await far.send(text('back'));
  await settle();
  for (const side of sides) relayed.connect(side);
  await near.send(text('three'));
  expect(await readText(far, 9)).toBe('two three');
  expect(await readText(near, 4)).toBe('back');
  expect(relayed.counts.resumed).toBeGreaterThan(0);
});

it('goes on when the relay itself was lost', async () => {
  await using relayed = RelayedFixture.connected();
  const { near, far } = await relayed.open();
  await near.send(text('one '));
  relayed.restartRelay();
  await near.send(text('two'));
  relayed.connect('agent');
  relayed.connect('operator');
  expect(await readText(far, 7)).toBe('one two');
});

it('sends again what was lost on its way, and says how much', async () => {
  await using relayed = RelayedFixture.connected({ wires: () => ({}) });
  const { near, far } = await relayed.open();
  await settle();
  const pair = relayed.connect('agent');
  await settle();
  pair.aToB.stall();
  await near.send(new Uint8Array(100_000));
  await settle();
  relayed.cut('agent');
  relayed.connect('agent');
  let bytes = 0;
  while (bytes < 100_000) {
    const item = await far.read();
    if (item?.kind === 'data') bytes += item.bytes.byteLength;
  }
  expect(bytes).toBe(100_000);
  expect(relayed.counts.resentBytes).toBe(100_000);
  expect(relayed.operator.stats).toMatchObject({ resentBytes: 100_000 });
});

it.each<[string, Side]>([
  ['agent', 'agent'],
  ['operator', 'operator'],
])('ends every channel with 8 when the process of the %s was lost, and opens new ones', async (_name, side) => {
  await using relayed = RelayedFixture.connected();
  const { near, far } = await relayed.open();
  relayed.restartEnd(side);
  relayed.connect(side);
  const survivor = side === 'agent' ? near : far;
  expect(await survivor.ended).toMatchObject({ code: CloseReason.UnexpectedDisconnect });
  const next = await relayed.open();
  await next.near.send(text('new'));
  expect(await readText(next.far, 3)).toBe('new');
});

it('passes a refusal on to the other end, and its answer back', async () => {
  await using relayed = RelayedFixture.connected({
    refusal: (_side, { protocol }) => (protocol === 'ssh' ? new ControlError('forbidden', 'not ssh') : undefined),
  });
  await expect(relayed.operator.open({ protocol: 'ssh' })).rejects.toMatchObject({
    code: 'forbidden',
    message: 'not ssh',
  });
  await relayed.open();
});

it('reads an end no further while the other takes nothing, and drops who takes nothing for 45 s', async () => {
  await using relayed = RelayedFixture.connected();
  const channels = await Promise.all(Array.from({ length: 10 }, () => relayed.open()));
  await settle();
  const pair = relayed.connect('agent');
  await settle();
  pair.aToB.stall();
  for (const { near } of channels) void near.send(new Uint8Array(LIMITS.windowBytesInitial)).catch(() => undefined);
  await settle();
  expect(relayed.counts.held).toBeGreaterThan(0);
  expect(relayed.relay.bufferedBytes('agent')).toBeLessThan(
    LIMITS.socketBufferBytesMax + 2 * LIMITS.framePayloadBytesMax,
  );
  await relayed.clock.advance(LIMITS.livenessTimeoutMs);
  expect(relayed.lost).toMatchObject([{ side: 'agent' }]);
  relayed.connect('agent');
  for (const { far } of channels) {
    await eventually(async () => (await far.read())?.kind === 'data', { what: 'its bytes' });
  }
});

it('knows how many channels are open, whoever ends them', async () => {
  await using relayed = RelayedFixture.connected({
    accept: (offer) => (offer.protocol === 'ssh' ? offer.refuse('forbidden', 'no') : relayed.keep(offer)),
  });
  const [first, second] = [await relayed.open(), await relayed.open()];
  await expect(relayed.operator.open({ protocol: 'ssh' })).rejects.toMatchObject({ code: 'forbidden' });
  expect(relayed.relay.channels).toBe(2);
  first.near.close({ code: CloseReason.Ok, reason: '' });
  second.far.close({ code: CloseReason.Cancelled, reason: '' });
  await eventually(() => relayed.relay.channels === 0, { what: 'both to be over' });
  await relayed.open();
  relayed.restartEnd('agent');
  relayed.connect('agent');
  await eventually(() => relayed.relay.channels === 0, { what: 'those of a lost process to be forgotten' });
});

it('tells both ends when an end closes the tunnel', async () => {
  await using relayed = RelayedFixture.connected();
  await relayed.open();
  relayed.operator.close(CloseReason.Ok, 'enough');
  expect(await relayed.agent.ended).toMatchObject({ code: CloseReason.Ok, reason: 'enough', by: 'peer' });
  expect(relayed.ended).toMatchObject([{ by: 'operator', end: { code: 0, reason: 'enough' } }]);
});

it('ends with 2 at an end whose leg stays away', async () => {
  await using relayed = RelayedFixture.connected({ graceMs: 60_000 });
  const { near } = await relayed.open();
  relayed.cut('operator');
  await relayed.clock.advance(59_999);
  expect(relayed.operator.isFlowing).toBe(false);
  await relayed.clock.advance(1);
  expect(await relayed.operator.ended).toMatchObject({ code: CloseReason.GraceExpired, by: 'loss' });
  expect((await near.ended).code).toBe(CloseReason.UnexpectedDisconnect);
});

import {
  CloseReason,
  decodeFrame,
  encodeFrame,
  encodeJson,
  encodeU32,
  FrameFlag,
  FrameType,
  LIMITS,
} from '@drawbridge/protocol';
import type { Frame } from '@drawbridge/protocol';
import { expect, it } from 'vitest';
import { FakeClock, settle } from '../../testkit/src/fake-clock.ts';
import { socketPair } from '../../testkit/src/socket-pair.ts';
import type { Channel, ChannelOffer } from './channel.ts';
import { WindowBudget } from './credit.ts';
import { Tunnel } from './tunnel.ts';

const ok = { code: CloseReason.Ok, reason: '' };

/** The peer in these tests is a bare socket: it can say what no Tunnel would. */
function bare(accept?: (offer: ChannelOffer) => void) {
  const clock = new FakeClock();
  const pair = socketPair({ clock });
  const heard: Frame[] = [];
  let closedWith: number | undefined;
  pair.a.listen({
    message: (message) => {
      if (typeof message !== 'string') heard.push(decodeFrame(message));
    },
    closed: (end) => (closedWith = end.code),
  });
  const tunnel = new Tunnel({
    socket: pair.b,
    opens: 'even',
    clock,
    budget: new WindowBudget(2 * LIMITS.windowBytesOfProcessMax),
    ...(accept && { accept }),
  });
  return {
    tunnel,
    heard,
    closedWith: () => closedWith,
    say(type: Frame['type'], channelId: number, payload: Uint8Array = new Uint8Array(), flags = 0) {
      pair.a.send(encodeFrame({ type, flags, channelId, payload }));
      return settle();
    },
    raw(bytes: Uint8Array | string) {
      pair.a.send(bytes);
      return settle();
    },
    open(channelId: number) {
      return this.say(FrameType.ChannelOpen, channelId, encodeJson({ protocol: 'tcp', metadata: {}, window: 1000 }));
    },
    /** What the tunnel said, heartbeats left out: `type:channel:flags:close code`. */
    answers: () => heard.filter(({ channelId, type }) => channelId !== 0 || type !== FrameType.Heartbeat).map(summary),
    async [Symbol.asyncDispose]() {
      pair.cut();
      await tunnel.ended;
      expect(clock.pending).toBe(0);
    },
  };
}

function summary({ type, channelId, flags, payload }: Frame): string {
  const name = Object.entries(FrameType).find(([, value]) => value === type)?.[0] ?? '?';
  const code = type === FrameType.Close ? ` ${JSON.parse(Buffer.from(payload).toString()).code}` : '';
  return `${name} ${channelId}${flags === 0 ? '' : ` flags ${flags}`}${code}`;
}

const bytes = (...values: number[]) => Uint8Array.from(values);

it.each([
  ['an unknown flag', bytes(1, 5, 0x10, 0, 1, 0, 0, 0, 0, 0, 0, 0), 1002],
  ['a flag of another type', bytes(1, 5, 0x01, 0, 1, 0, 0, 0, 0, 0, 0, 0), 1002],
  ['an unknown type', bytes(1, 0x0c, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0), 1002],
  ['another version', bytes(2, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0), 1002],
  ['a wrong length', bytes(1, 5, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0), 1002],
  ['a truncated header', bytes(1, 5, 0), 1002],
  ['DATA on channel 0', encodeFrame({ type: FrameType.Data, flags: 0, channelId: 0, payload: bytes(1) }), 1002],
  [
    'a heartbeat of 7 bytes',
    encodeFrame({ type: FrameType.Heartbeat, flags: 0, channelId: 0, payload: new Uint8Array(7) }),
    1002,
  ],
  [
    'CONNECT after the beginning',
    encodeFrame({ type: FrameType.Connect, flags: 0, channelId: 0, payload: bytes() }),
    1002,
  ],
  ['a CLOSE that is no JSON', encodeFrame({ type: FrameType.Close, flags: 0, channelId: 0, payload: bytes(1) }), 1002],
  ['text', 'hello', 1003],
])('ends the tunnel with CLOSE 3 after %s', async (_what, message, closeCode) => {
  await using peer = bare();
  await peer.raw(message);
  expect(peer.answers()).toEqual(['Close 0 3']);
  expect(peer.closedWith()).toBe(closeCode);
  expect(await peer.tunnel.ended).toMatchObject({ by: 'here', code: CloseReason.ProtocolError });
});

it.each([
  ['of the other parity', [2]],
  ['that does not rise', [5, 3]],
  ['twice', [5, 5]],
])('ends the tunnel when the peer opens a channel %s', async (_what, ids) => {
  await using peer = bare((offer) => void offer.accept());
  for (const id of ids) await peer.open(id);
  expect(peer.answers().at(-1)).toBe('Close 0 3');
  expect(peer.closedWith()).toBe(1002);
});

it.each([
  ['DATA', FrameType.Data, bytes(1)],
  ['CONTROL', FrameType.Control, encodeJson({})],
  ['WINDOW_UPDATE', FrameType.WindowUpdate, encodeU32(1)],
  ['CHANNEL_ACK', FrameType.ChannelAck, encodeJson({ window: 1 })],
])('answers %s for an id never opened with CLOSE 3 on it, and lives on', async (_name, type, payload) => {
  await using peer = bare();
  await peer.say(type, 7, payload);
  await peer.say(type, 8, payload);
  await peer.say(FrameType.Heartbeat, 0, new Uint8Array(8));
  expect(peer.answers()).toEqual(['Close 7 3', 'Close 8 3']);
  expect(peer.heard.at(-1)).toMatchObject({ type: FrameType.Heartbeat, flags: FrameFlag.Ack });
});

it('answers no CLOSE with a CLOSE, and drops frames of a channel that was closed', async () => {
  await using peer = bare((offer) => offer.accept().close({ code: CloseReason.Forbidden, reason: '' }));
  await peer.say(FrameType.Close, 9, encodeJson(ok));
  await peer.open(11);
  await peer.say(FrameType.Data, 11, bytes(1));
  await peer.say(FrameType.Data, 9, bytes(1));
  await peer.say(FrameType.Close, 11, encodeJson(ok));
  expect(peer.answers()).toEqual(['ChannelAck 11', 'Close 11 10']);
});

it.each([
  ['more DATA than its credit', FrameType.Data, new Uint8Array(65_536), 5],
  ['CONTROL that is no JSON', FrameType.Control, bytes(1), 1],
  ['CONTROL that is no object', FrameType.Control, encodeJson([1]), 1],
  ['credit of three bytes', FrameType.WindowUpdate, bytes(1, 2, 3), 1],
  ['more credit than a window may be', FrameType.WindowUpdate, encodeU32(LIMITS.windowBytesMax), 1],
  ['a second CHANNEL_ACK', FrameType.ChannelAck, encodeJson({ window: 1 }), 1],
  ['a CLOSE that is no JSON', FrameType.Close, bytes(1), 1],
])('ends a channel with CLOSE 3 after %s, and no other', async (_what, type, payload, times) => {
  await using peer = bare((offer) => void offer.accept());
  await peer.open(1);
  await peer.open(3);
  for (let sent = 0; sent < times; sent += 1) await peer.say(type, 1, payload);
  expect(peer.answers().filter((answer) => answer.startsWith('Close'))).toEqual(['Close 1 3']);
  expect(peer.closedWith()).toBeUndefined();
});

it('ends a channel with CLOSE 3 when DATA follows FIN', async () => {
  await using peer = bare((offer) => void offer.accept());
  await peer.open(1);
  await peer.say(FrameType.Data, 1, bytes(1), FrameFlag.Fin);
  await peer.say(FrameType.Data, 1, bytes(1));
  expect(peer.answers().at(-1)).toBe('Close 1 3');
});

const controls = (count: number, text = '') =>
  Array.from({ length: count }, () => [FrameType.Control, encodeJson({ text }), 0] as const);
const bytesOfBothStreams = (count: number) =>
  Array.from(
    { length: count },
    (_, index) => [FrameType.Data, bytes(1), index % 2 === 0 ? FrameFlag.Stderr : 0] as const,
  );

it.each([
  ['too many CONTROLs', controls(LIMITS.channelControlsUnreadMax), controls(1)],
  ['too many bytes of CONTROLs', controls(4, 'x'.repeat(16_000)), controls(1, 'x'.repeat(16_000))],
  ['too many items', bytesOfBothStreams(LIMITS.channelItemsUnreadMax), bytesOfBothStreams(1)],
])('ends a channel with CLOSE 11 when %s are unread, and not before', async (_what, enough, more) => {
  let channel: Channel | undefined;
  await using peer = bare((offer) => (channel = offer.accept()));
  await peer.open(1);
  for (const [type, payload, flags] of enough) void peer.say(type, 1, payload, flags);
  await settle();
  expect(peer.answers()).not.toContain('Close 1 11');
  // What is read makes room again.
  for (const [type, payload, flags] of more) {
    await channel?.read();
    await peer.say(type, 1, payload, flags);
    expect(peer.answers()).not.toContain('Close 1 11');
    await peer.say(type, 1, payload, flags ^ (type === FrameType.Data ? FrameFlag.Stderr : 0));
  }
  expect(peer.answers().at(-1)).toBe('Close 1 11');
});

it('returns no credit after FIN: nothing more is to come', async () => {
  let channel: Channel | undefined;
  await using peer = bare((offer) => (channel = offer.accept()));
  await peer.open(1);
  const quarter = new Uint8Array(LIMITS.framePayloadBytesMax);
  for (const flags of [0, 0, 0, FrameFlag.Fin]) await peer.say(FrameType.Data, 1, quarter, flags);
  for (let items = 0; items < 4; items += 1) await channel?.read();
  expect(peer.answers().filter((answer) => answer.startsWith('Window'))).toEqual([]);
});

it('ends a channel with CLOSE 3 when it speaks before its CHANNEL_ACK', async () => {
  const offers: ChannelOffer[] = [];
  await using peer = bare((offer) => offers.push(offer));
  await peer.open(1);
  await peer.say(FrameType.Data, 1, bytes(1));
  expect(peer.answers()).toEqual(['Close 1 3']);
  expect(offers[0]?.signal.aborted).toBe(true);
});

it('opens at most 1024 channels, and one more when one was closed', async () => {
  await using peer = bare((offer) => void offer.accept());
  for (let index = 0; index < LIMITS.channelsPerTunnelMax; index += 1) void peer.open(2 * index + 1);
  await peer.open(9_001);
  expect(peer.answers().at(-1)).toBe('ChannelAck 9001 flags 1');
  await peer.say(FrameType.Close, 1, encodeJson(ok));
  await peer.open(9_003);
  expect(peer.answers().at(-1)).toBe('ChannelAck 9003');
});

it('answers the refusal of a relay with CHANNEL_ERR', async () => {
  await using peer = bare((offer) => void offer.accept());
  await peer.say(FrameType.ChannelOpen, 1, encodeJson({ code: 'forbidden', message: 'no' }), FrameFlag.Err);
  expect(peer.answers()).toEqual(['ChannelAck 1 flags 1']);
  expect(peer.tunnel.channels).toBe(0);
});

it('ends the tunnel when a peer asks and asks and reads nothing', async () => {
  const clock = new FakeClock();
  const pair = socketPair({ clock });
  pair.a.listen({ message: () => {}, closed: () => {} });
  pair.bToA.stall();
  const tunnel = new Tunnel({ socket: pair.b, opens: 'even', clock, budget: new WindowBudget() });
  const stray = { type: FrameType.Data, flags: 0, channelId: 9, payload: bytes(1) };
  for (let sent = 0; sent < 2 * LIMITS.framesUrgentMax; sent += 1) pair.a.send(encodeFrame(stray));
  await settle();
  expect(tunnel.channels).toBe(0);
  pair.cut();
  expect(await tunnel.ended).toMatchObject({ by: 'here', code: CloseReason.ResourceLimit });
});

it('hears nothing more once it has said goodbye', async () => {
  const offers: ChannelOffer[] = [];
  await using peer = bare((offer) => offers.push(offer));
  peer.tunnel.close(CloseReason.Ok, 'bye');
  await peer.open(1);
  expect(offers).toEqual([]);
  expect(peer.answers()).toEqual(['Close 0 0']);
});

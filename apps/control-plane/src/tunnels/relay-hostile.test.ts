import {
  encodeFrame,
  encodeJson,
  encodeU32,
  ControlError,
  FrameFlag,
  FrameType,
  LIMITS,
  WsClose,
} from '@drawbridge/protocol';
import { FakeClock, settle, socketPair } from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import { bareLeg, DATA_MAX } from '../../../../packages/testkit/src/bare-leg.ts';
import { Relay } from './relay.ts';
import type { Side } from './relay.ts';

const SIDES = ['operator', 'agent'] as const;
const INSTANCES = {
  operator: '11111111-1111-4111-8111-111111111111',
  agent: '22222222-2222-4222-8222-222222222222',
} as const;
const FRAME_BYTES_MAX = LIMITS.frameHeaderBytes + LIMITS.framePayloadBytesMax;
const open = encodeJson({ protocol: 'tcp', metadata: {}, window: 1_000 });

/** A relay between two bare sockets: both can say what no end would. */
async function between() {
  const clock = new FakeClock();
  const told: string[] = [];
  let epoch = 0;
  const relay = new Relay({
    clock,
    heartbeatIntervalMs: 20_000,
    nextEpoch: async () => (epoch += 1),
    refusal: (_side, { protocol }) => (protocol === 'ssh' ? new ControlError('forbidden', 'not ssh') : undefined),
    onActivity: () => {},
    onLegLost: (side) => told.push(`lost ${side}`),
    onEnded: (by, { code }) => told.push(`ended by ${by} with ${code}`),
    onResumed: () => told.push('resumed'),
    onResent: (from, bytes) => told.push(`resent ${bytes} from ${from}`),
    onHeld: (side) => told.push(`held ${side}`),
    onError: (error) => told.push(String(error)),
  });
  const attach = (side: Side) => {
    const { a, b, aToB, bToA, cut } = socketPair({ clock });
    void relay.attach(side, a, INSTANCES[side]);
    return bareLeg(clock, { a: b, b: a, aToB: bToA, bToA: aToB, cut });
  };
  const legs = { operator: attach('operator'), agent: attach('agent') };
  await settle();
  return {
    ...legs,
    relay,
    clock,
    told,
    attach,
    async agree() {
      for (const side of SIDES) await legs[side].agree(1);
    },
    async [Symbol.asyncDispose]() {
      relay.close({ code: 0, reason: 'the test is over' });
      for (const side of SIDES) legs[side].pair.cut();
      await settle();
      expect(clock.pending).toBe(0);
    },
  };
}

it('tells both ends to resume, and passes on their answers, and then what they say', async () => {
  await using relayed = await between();
  const { operator, agent } = relayed;
  await operator.agree(1, 5);
  await operator.say(FrameType.ChannelOpen, 1, open);
  expect(agent.answers()).toEqual(['Resume 1', 'Resume flags 4 1 has 5', 'ChannelOpen 1']);
  await agent.agree(1, 6);
  expect(operator.answers()).toEqual(['Resume 1', 'Resume flags 4 1 has 6']);
});

it('drops what an end says before its answer to RESUME, and goes on', async () => {
  await using relayed = await between();
  const { operator, agent } = relayed;
  await operator.say(FrameType.ChannelOpen, 1, open);
  await operator.say(FrameType.Heartbeat, 1, new Uint8Array(8));
  await operator.say(FrameType.Received, 0, encodeU32(3));
  for (const epoch of [7, 2]) await operator.agree(epoch);
  await operator.say(FrameType.ChannelOpen, 3, open);
  expect(agent.answers()).toEqual(['Resume 1']);
  await operator.agree(1);
  await operator.say(FrameType.ChannelOpen, 5, open);
  expect(agent.answers().slice(1)).toEqual(['Resume flags 4 1 has 0', 'ChannelOpen 5']);
  expect(relayed.told).toEqual([]);
});

it('drops what the other says once a leg is gone, until both have agreed again', async () => {
  await using relayed = await between();
  await relayed.agree();
  relayed.operator.pair.cut();
  await settle();
  await relayed.agent.say(FrameType.Data, 1, Uint8Array.of(1));
  const operator = relayed.attach('operator');
  await relayed.agent.say(FrameType.Data, 1, Uint8Array.of(1));
  await relayed.agent.agree(1);
  await relayed.agent.say(FrameType.Data, 1, Uint8Array.of(1));
  expect(operator.answers()).toEqual(['Resume 2']);
  await relayed.agent.agree(2);
  await relayed.agent.say(FrameType.Data, 1, Uint8Array.of(1));
  expect(operator.answers()).toEqual(['Resume 2', 'Resume flags 4 2 has 0', 'Data 1']);
  operator.pair.cut();
  expect(relayed.told).toEqual(['lost operator', 'resumed']);
});

const long = new Uint8Array(FRAME_BYTES_MAX + 1);
long.set(encodeFrame({ type: FrameType.Data, flags: 0, channelId: 1, payload: new Uint8Array() }));
new DataView(long.buffer).setUint32(8, LIMITS.framePayloadBytesMax + 1, true);

const frame = (type: FrameType, channelId: number, payload: Uint8Array = new Uint8Array(), flags = 0) =>
  encodeFrame({ type, flags, channelId, payload });

it.each<[string, string | Uint8Array, number]>([
  [
    'RESUME, which is the relay’s to say',
    frame(FrameType.Resume, 0, encodeJson({ epoch: 1, peer_instance: INSTANCES.agent, received: 0 })),
    1002,
  ],
  ['RESUME+ACK that is no JSON', frame(FrameType.Resume, 0, Uint8Array.of(1), FrameFlag.Ack), 1002],
  [
    'RESUME+ACK with less than nothing',
    frame(FrameType.Resume, 0, encodeJson({ epoch: 1, received: -1 }), FrameFlag.Ack),
    1002,
  ],
  ['CONNECT', frame(FrameType.Connect, 0, encodeJson({})), 1002],
  ['CONNECT on a channel', frame(FrameType.Connect, 1), 1002],
  ['CONNECT_ACK on a channel', frame(FrameType.ConnectAck, 1), 1002],
  ['RESUME on a channel', frame(FrameType.Resume, 1), 1002],
  ['RECEIVED on a channel', frame(FrameType.Received, 1, encodeU32(1)), 1002],
  ['DATA on channel 0', frame(FrameType.Data, 0), 1002],
  ['WINDOW_UPDATE on channel 0', frame(FrameType.WindowUpdate, 0, encodeU32(1)), 1002],
  ['a heartbeat of 7 bytes', frame(FrameType.Heartbeat, 0, new Uint8Array(7)), 1002],
  ['a CLOSE of the tunnel that is no JSON', frame(FrameType.Close, 0, Uint8Array.of(1)), 1002],
  ['one byte more than a frame may have', long, 1002],
  ['half a header', Uint8Array.of(1, 5, 0), 1002],
  ['text', 'hello', 1003],
])('ends the tunnel with CLOSE 3 after %s', async (_what, message, wsCode) => {
  for (const side of SIDES) {
    await using relayed = await between();
    await relayed.agree();
    const [bad, good] = side === 'operator' ? [relayed.operator, relayed.agent] : [relayed.agent, relayed.operator];
    bad.pair.a.send(message);
    await settle();
    expect([bad.answers().at(-1), bad.closedWith()]).toEqual(['Close 0 3', wsCode]);
    expect([good.answers().at(-1), good.closedWith()]).toEqual(['Close 0 3', WsClose.Normal]);
    expect(relayed.told).toEqual([`ended by ${side} with 3`]);
  }
});

it('passes on 65 536 bytes of payload, and whatever it does not know about channels', async () => {
  await using relayed = await between();
  await relayed.agree();
  await relayed.operator.say(FrameType.Data, 9, DATA_MAX);
  await relayed.operator.say(FrameType.Close, 9, Uint8Array.of(1));
  await relayed.operator.say(FrameType.Received, 0, encodeU32(77));
  expect(relayed.agent.answers().slice(2)).toEqual(['Data 9', expect.stringContaining('Close 9'), 'Received 77']);
});

it.each([
  ['is no JSON', Uint8Array.of(1), 'protocol_error'],
  ['has no window', encodeJson({ protocol: 'tcp', metadata: {} }), 'protocol_error'],
  [
    'asks for more than a window may be',
    encodeJson({ protocol: 'tcp', metadata: {}, window: 2 ** 30 }),
    'protocol_error',
  ],
  ['is not allowed', encodeJson({ protocol: 'ssh', metadata: {}, window: 1 }), 'forbidden'],
])('passes a CHANNEL_OPEN that %s on as a refusal', async (_what, payload, code) => {
  await using relayed = await between();
  await relayed.agree();
  await relayed.operator.say(FrameType.ChannelOpen, 1, payload);
  const [refused] = relayed.agent.counted();
  expect(refused).toMatchObject({ type: FrameType.ChannelOpen, flags: FrameFlag.Err, channelId: 1 });
  expect(JSON.parse(Buffer.from(refused?.payload ?? []).toString())).toMatchObject({ code });
});

const refused = encodeJson({ protocol: 'ssh', metadata: {}, window: 1 });

it.each<[string, Side, Uint8Array]>([
  ['heartbeats of its leg, itself', 'operator', frame(FrameType.Heartbeat, 0, new Uint8Array(8))],
  ['heartbeats of a channel, the other', 'agent', frame(FrameType.Heartbeat, 1, new Uint8Array(8))],
  ['DATA, the other', 'agent', frame(FrameType.Data, 1, new Uint8Array(8))],
  ['opens that are refused, the other', 'agent', frame(FrameType.ChannelOpen, 1, refused)],
  [
    'answers to RESUME, the other',
    'agent',
    frame(FrameType.Resume, 0, encodeJson({ epoch: 1, received: 1 }), FrameFlag.Ack),
  ],
  ['RECEIVED, the other', 'agent', frame(FrameType.Received, 0, encodeU32(1))],
])('holds little when an end floods it with %s reads nothing', async (_what, deaf, message) => {
  await using relayed = await between();
  await relayed.agree();
  relayed[deaf].pair.bToA.stall();
  const filling = deaf === 'agent' ? relayed.operator : relayed.agent;
  for (let frames = 0; frames < 7; frames += 1) await filling.say(FrameType.Data, 1, DATA_MAX);
  for (let sent = 0; sent < 8_000; sent += 1) relayed.operator.pair.a.send(message);
  await settle();
  expect(relayed.relay.bufferedBytes(deaf)).toBeGreaterThan(LIMITS.socketBufferBytesMax - FRAME_BYTES_MAX);
  expect(relayed.relay.bufferedBytes(deaf)).toBeLessThanOrEqual(LIMITS.socketBufferBytesMax + FRAME_BYTES_MAX);
  expect(relayed.relay.bufferedBytes(deaf === 'agent' ? 'operator' : 'agent')).toBeLessThan(FRAME_BYTES_MAX);
});

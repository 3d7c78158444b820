import { CloseReason, encodeFrame, encodeJson, encodeU32, FrameType, LIMITS } from '@drawbridge/protocol';
import { expect, it } from 'vitest';
import { FakeClock, settle } from '../../testkit/src/fake-clock.ts';
import { bare, bareLeg, DATA_MAX, ONE } from '../../testkit/src/bare-leg.ts';
import type { Bare } from '../../testkit/src/bare-leg.ts';
import { WindowBudget } from './credit.ts';
import { Tunnel } from './tunnel.ts';

it.each<[string, (peer: Bare) => unknown]>([
  ['a counted frame before RESUME', (peer) => peer.open(1)],
  ['a counted frame before RESUME+ACK', (peer) => peer.resume(1).then(() => peer.open(1))],
  [
    'a counted frame between a RESUME and its RESUME+ACK',
    (peer) =>
      peer
        .flow()
        .then(() => peer.resume(2))
        .then(() => peer.open(1)),
  ],
  ['RESUME+ACK before RESUME', (peer) => peer.agree(1)],
  ['RESUME+ACK for a future epoch', (peer) => peer.resume(1).then(() => peer.agree(2))],
  ['RESUME+ACK that has more than was sent', (peer) => peer.resume(1).then(() => peer.agree(1, 1))],
  [
    'RESUME+ACK that has less than before',
    (peer) =>
      ackOfOne(peer)
        .then(() => peer.resume(2))
        .then(() => peer.agree(2, 0)),
  ],
  ['RESUME of the same epoch', (peer) => peer.flow().then(() => peer.resume(1))],
  ['RESUME of an older epoch', (peer) => peer.resume(3).then(() => peer.resume(2))],
  ['RESUME that is no JSON', (peer) => peer.say(FrameType.Resume, 0, Uint8Array.of(1))],
  ['RESUME without an instance', (peer) => peer.say(FrameType.Resume, 0, encodeJson({ epoch: 1 }))],
  ['RESUME+ACK with less than nothing', (peer) => peer.resume(1).then(() => peer.agree(1, -1))],
  ['RECEIVED for more than was sent', (peer) => peer.flow().then(() => peer.say(FrameType.Received, 0, encodeU32(1)))],
  ['RECEIVED of three bytes', (peer) => peer.flow().then(() => peer.say(FrameType.Received, 0, new Uint8Array(3)))],
  ['CONNECT', (peer) => peer.flow().then(() => peer.say(FrameType.Connect, 0, encodeJson({})))],
])('ends the tunnel with CLOSE 3 and 1002 after %s', async (_what, happens) => {
  await using peer = bare();
  await happens(peer);
  expect(peer.answers().at(-1)).toBe('Close 0 3');
  expect(peer.closedWith()).toBe(1002);
  expect(await peer.tunnel.ended).toMatchObject({ by: 'here', code: CloseReason.ProtocolError });
});

/** The peer has had one counted frame, and has said so. */
async function ackOfOne(peer: Bare): Promise<void> {
  await peer.flow();
  await peer.open(1);
  await peer.say(FrameType.Received, 0, encodeU32(1));
}

it.each([
  ['RESUME', FrameType.Resume, encodeJson({ epoch: 1, peer_instance: ONE })],
  ['RESUME+ACK', FrameType.Resume, encodeJson({ epoch: 1, received: 0 })],
  ['RECEIVED', FrameType.Received, encodeU32(0)],
])('ends a tunnel that does not resume with CLOSE 3 after %s', async (_name, type, payload) => {
  const clock = new FakeClock();
  const leg = bareLeg(clock);
  const tunnel = new Tunnel({ socket: leg.pair.b, opens: 'even', clock, budget: new WindowBudget() });
  await leg.say(type, 0, payload);
  expect([leg.answers(), leg.closedWith()]).toEqual([['Close 0 3'], 1002]);
  await tunnel.ended;
});

it.each([
  ['CONNECT', FrameType.Connect],
  ['CONNECT_ACK', FrameType.ConnectAck],
  ['RESUME', FrameType.Resume],
  ['RECEIVED', FrameType.Received],
])('ends a channel with CLOSE 3 after %s on it, open or never opened, and no other', async (_name, type) => {
  await using peer = bare();
  await peer.flow();
  await peer.open(1);
  await peer.open(3);
  await peer.say(type, 3);
  await peer.say(type, 9);
  expect(peer.answers().slice(3)).toEqual(['Close 3 3', 'Close 9 3']);
  expect(peer.closedWith()).toBeUndefined();
});

it('takes a frame of 65 536 bytes, and ends the tunnel after one byte more', async () => {
  await using peer = bare();
  await peer.flow();
  await peer.open(1);
  await peer.say(FrameType.Data, 1, DATA_MAX);
  expect(await peer.channels[0]?.read()).toMatchObject({ bytes: { byteLength: 65_536 } });
  const tooLong = new Uint8Array(LIMITS.frameHeaderBytes + LIMITS.framePayloadBytesMax + 1);
  tooLong.set(encodeFrame({ type: FrameType.Data, flags: 0, channelId: 1, payload: new Uint8Array() }));
  new DataView(tooLong.buffer).setUint32(8, LIMITS.framePayloadBytesMax + 1, true);
  peer.pair.a.send(tooLong);
  await settle();
  expect(peer.answers().at(-1)).toBe('Close 0 3');
  expect(peer.closedWith()).toBe(1002);
});

it('ends with 11 when a peer asks for heartbeats and reads nothing', async () => {
  await using peer = bare();
  await peer.flow();
  await peer.open(1);
  peer.pair.bToA.stall();
  void peer.channels[0]?.send(new Uint8Array(2 * LIMITS.socketBufferBytesMax)).catch(() => undefined);
  for (let sent = 0; sent <= LIMITS.framesUrgentMax; sent += 1) {
    peer.pair.a.send(encodeFrame({ type: FrameType.Heartbeat, flags: 0, channelId: 0, payload: new Uint8Array(8) }));
  }
  await settle();
  expect(peer.pair.bToA.bufferedBytesHighest).toBeLessThanOrEqual(LIMITS.socketBufferBytesMax);
  peer.pair.cut();
  expect(await peer.tunnel.ended).toMatchObject({ by: 'here', code: CloseReason.ResourceLimit });
});

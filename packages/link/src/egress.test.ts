import { decodeFrame, encodeFrame, FrameType, LIMITS } from '@drawbridge/protocol';
import type { Frame } from '@drawbridge/protocol';
import { expect, it, vi } from 'vitest';
import { FakeClock, settle } from '../../testkit/src/fake-clock.ts';
import { socketPair } from '../../testkit/src/socket-pair.ts';
import { Egress } from './egress.ts';
import type { FrameSource } from './egress.ts';
import { SentFrames } from './sent-frames.ts';

const data = (channelId: number, bytes = 1): Frame => ({
  type: FrameType.Data,
  flags: 0,
  channelId,
  payload: new Uint8Array(bytes),
});

function sourceOf(...frames: Frame[]): FrameSource {
  return { nextFrame: () => frames.shift() };
}

/** An egress whose socket is full until `release`. */
function stalled() {
  const pair = socketPair();
  const heard: number[] = [];
  const onFlood = vi.fn<() => void>();
  const sent: number[] = [];
  const egress = new Egress({ onFlood, onSent: (frame) => sent.push(frame.channelId) });
  egress.use(pair.a);
  pair.a.listen({ message: () => {}, drained: () => egress.flush(), closed: () => {} });
  pair.b.listen({
    message: (message) => {
      if (typeof message !== 'string') heard.push(decodeFrame(message).channelId);
    },
    closed: () => {},
  });
  pair.aToB.stall();
  const filling = Array.from({ length: 10 }, () => data(99, LIMITS.framePayloadBytesMax));
  egress.ready(sourceOf(...filling.slice(0, 7)));
  const release = async () => {
    pair.aToB.release();
    await settle();
    return heard.filter((channelId) => channelId !== 99);
  };
  return { egress, onFlood, sent, release, wire: pair.aToB };
}

it('lets sources take turns, one frame each', async () => {
  const { egress, release } = stalled();
  egress.ready(sourceOf(data(1), data(1), data(1)));
  egress.ready(sourceOf(data(2)));
  egress.ready(sourceOf(data(3), data(3)));
  expect(await release()).toEqual([1, 2, 3, 1, 3, 1]);
});

it('sends urgent frames before what waits, and ordered ones in their turn', async () => {
  const { egress, release } = stalled();
  egress.ready(sourceOf(data(1), data(1)));
  egress.inOrder(data(3));
  egress.inOrder(data(4));
  egress.overtake(data(5));
  egress.overtake(data(6));
  expect(await release()).toEqual([5, 6, 1, 3, 1, 4]);
});

it('tells of each frame in the order of the wire', async () => {
  const { egress, release, sent } = stalled();
  egress.ready(sourceOf(data(1), data(1)));
  egress.overtake(data(2));
  expect(await release()).toEqual(sent.filter((channelId) => channelId !== 99));
});

it('sends a last frame, though the socket is full, and nothing after it', async () => {
  const { egress, release, wire } = stalled();
  egress.ready(sourceOf(data(1)));
  egress.overtake(data(2));
  egress.stop(data(3, 4_000));
  egress.stop(data(4));
  egress.overtake(data(5));
  egress.ready(sourceOf(data(6)));
  expect(wire.bufferedBytesHighest).toBeLessThanOrEqual(LIMITS.socketBufferBytesMax);
  expect(await release()).toEqual([3]);
});

it.each(['overtake', 'inOrder'] as const)('calls it a flood when too many frames wait that should %s', (how) => {
  const { egress, onFlood } = stalled();
  for (let waiting = 0; waiting < LIMITS.framesUrgentMax; waiting += 1) egress[how](data(1));
  expect(onFlood).not.toHaveBeenCalled();
  egress[how](data(1));
  expect(onFlood).toHaveBeenCalledTimes(1);
});

const beat: Frame = { type: FrameType.Heartbeat, flags: 0, channelId: 0, payload: new Uint8Array(8) };
const received: Frame = { type: FrameType.Received, flags: 0, channelId: 0, payload: new Uint8Array(4) };

/** An egress whose frames are counted, and sockets that write down what left by way of them. */
function counting(framesMax?: number) {
  const counted = { isFlowing: true, sent: new SentFrames(new FakeClock(), framesMax) };
  const left: [Frame, boolean][] = [];
  const egress = new Egress({ counted, onFlood: () => {}, onSent: (frame, again) => left.push([frame, again]) });
  const leg = () => {
    const pair = socketPair();
    const types: string[] = [];
    pair.b.listen({
      message: (message) => {
        const { type, channelId } = decodeFrame(message as Uint8Array);
        types.push(`${type} of ${channelId}`);
      },
      closed: () => {},
    });
    pair.a.listen({ message: () => {}, drained: () => egress.flush(), closed: () => {} });
    return { pair, types };
  };
  return { counted, egress, left, leg };
}

it('keeps what is of channels for the next leg, and drops what was about the one that is gone', async () => {
  const { counted, egress, leg } = counting();
  counted.isFlowing = false;
  const [first, second] = [leg(), leg()];
  first.pair.aToB.stall();
  egress.use(first.pair.a);
  first.pair.a.send(new Uint8Array(LIMITS.socketBufferBytesMax));
  egress.overtake(beat);
  egress.overtake(data(1));
  egress.use(undefined);
  egress.overtake(beat);
  egress.inOrder(data(3));
  egress.use(second.pair.a);
  await settle();
  expect(second.types).toEqual([]);
  counted.isFlowing = true;
  egress.flush();
  await settle();
  expect(second.types).toEqual(['5 of 1', '5 of 3']);
});

it('lets what is about the leg leave though nothing counted may', async () => {
  const { counted, egress, leg } = counting();
  counted.isFlowing = false;
  const { pair, types } = leg();
  egress.use(pair.a);
  egress.ready(sourceOf(data(1)));
  egress.overtake(beat);
  await settle();
  expect(types).toEqual(['7 of 0']);
});

it('drops what waits of one type about the leg, and nothing else', async () => {
  const { egress, leg } = counting();
  const { pair, types } = leg();
  pair.aToB.stall();
  egress.use(pair.a);
  pair.a.send(encodeFrame(data(9, LIMITS.framePayloadBytesMax)));
  while (pair.a.bufferedBytes < LIMITS.socketBufferBytesMax)
    pair.a.send(encodeFrame(data(9, LIMITS.framePayloadBytesMax)));
  for (const frame of [received, beat, received, data(1)]) egress.overtake(frame);
  egress.dropOfLeg(FrameType.Received);
  pair.aToB.release();
  await settle();
  expect(types.filter((line) => line !== '5 of 9')).toEqual(['7 of 0', '5 of 1']);
});

it('sends again, first and marked so, what the other end lacks', () => {
  const { counted, egress, left, leg } = counting();
  egress.use(leg().pair.a);
  egress.ready(sourceOf(data(1), data(2)));
  egress.use(undefined);
  egress.overtake(data(3));
  counted.sent.rewind(1);
  egress.use(leg().pair.a);
  expect(left.map(([{ channelId }, again]) => [channelId, again])).toEqual([
    [1, false],
    [2, false],
    [2, true],
    [3, false],
  ]);
});

it('waits at the bound of kept frames, sends no source ahead, and goes on by one for each one received', async () => {
  const { counted, egress, leg } = counting(2);
  const { pair, types } = leg();
  egress.use(pair.a);
  egress.ready(sourceOf(data(1), data(2), data(3), data(4)));
  egress.overtake(data(5));
  egress.overtake(beat);
  await settle();
  expect(types).toEqual(['5 of 1', '5 of 2', '7 of 0']);
  counted.sent.dropReceived(1);
  egress.flush();
  await settle();
  expect(types.slice(3)).toEqual(['5 of 5']);
});

it('counts what overtakes as well, and not what is about the leg', () => {
  const { counted, egress, leg } = counting();
  egress.use(leg().pair.a);
  egress.overtake({ type: FrameType.WindowUpdate, flags: 0, channelId: 1, payload: new Uint8Array(4) });
  egress.overtake({ ...beat, channelId: 1 });
  egress.overtake(received);
  egress.inOrder(data(1));
  expect(counted.sent.size).toBe(2);
});

it('forgets what waits of channels when they are lost', async () => {
  const { counted, egress, leg } = counting();
  counted.isFlowing = false;
  const { pair, types } = leg();
  egress.use(pair.a);
  egress.ready(sourceOf(data(1)));
  egress.overtake(data(2));
  egress.inOrder(data(3));
  egress.clear();
  counted.isFlowing = true;
  egress.inOrder(data(4));
  await settle();
  expect(types).toEqual(['5 of 4']);
});

it('holds back what would only wait on its way, and nothing that is urgent, until some of it has arrived', async () => {
  const { counted, egress, leg } = counting();
  const { pair, types } = leg();
  egress.use(pair.a);
  egress.ready(sourceOf(...Array.from({ length: 8 }, () => data(1, LIMITS.framePayloadBytesMax)), data(1)));
  egress.ready(sourceOf(data(3)));
  for (let turn = 0; turn < 20; turn += 1) await settle();
  // Eight times 64 KiB; what is typed on channel 3 had its turn.
  expect(types.filter((type) => type === '5 of 1')).toHaveLength(8);
  expect(types).toContain('5 of 3');
  egress.overtake(beat);
  egress.overtake({ ...data(5), type: FrameType.WindowUpdate });
  await settle();
  expect(types.slice(-2)).toEqual(['7 of 0', '6 of 5']);
  counted.sent.dropReceived(1);
  egress.flush();
  await settle();
  expect(types.at(-1)).toBe('5 of 1');
});

import { decodeFrame, FrameType, LIMITS } from '@drawbridge/protocol';
import type { Frame } from '@drawbridge/protocol';
import { expect, it, vi } from 'vitest';
import { settle } from '../../testkit/src/fake-clock.ts';
import { socketPair } from '../../testkit/src/socket-pair.ts';
import { Egress } from './egress.ts';
import type { FrameSource } from './egress.ts';

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
  const egress = new Egress({ socket: pair.a, onFlood, onSent: (frame) => sent.push(frame.channelId) });
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

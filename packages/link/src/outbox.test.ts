import { FrameFlag, FrameType, LIMITS } from '@drawbridge/protocol';
import { expect, it, vi } from 'vitest';
import { settle } from '../../testkit/src/fake-clock.ts';
import { SendCredit } from './credit.ts';
import { Outbox } from './outbox.ts';

const FRAME = LIMITS.framePayloadBytesMax;
const BOUND = LIMITS.channelOutboxBytesMax;

function outboxWith(creditBytes: number) {
  const credit = new SendCredit(creditBytes);
  const outbox = new Outbox(7, credit);
  const data = (bytes: number, flags = 0) =>
    outbox.push({ type: FrameType.Data, flags, payload: new Uint8Array(bytes) });
  return { outbox, credit, data };
}

it('cuts data to frames and to credit, by reference', () => {
  const { outbox, credit } = outboxWith(FRAME + 10);
  const payload = new Uint8Array(FRAME + 30);
  outbox.push({ type: FrameType.Data, flags: FrameFlag.Stderr, payload });
  const frames = [outbox.next(), outbox.next(), outbox.next()];
  expect(frames.map((frame) => frame?.payload.byteLength)).toEqual([FRAME, 10, undefined]);
  expect(frames.slice(0, 2).every((frame) => frame?.payload.buffer === payload.buffer)).toBe(true);
  credit.add(100);
  expect(outbox.next()).toMatchObject({ channelId: 7, flags: FrameFlag.Stderr, payload: { byteLength: 20 } });
  expect(credit.bytes).toBe(80);
});

it('asks to be told when the last piece of what was cut is received, and of no other', () => {
  const { outbox } = outboxWith(2 * FRAME);
  const onReceived = () => undefined;
  outbox.push({ type: FrameType.Data, flags: 0, payload: new Uint8Array(FRAME + 1), onReceived });
  expect([outbox.next()?.onReceived, outbox.next()?.onReceived]).toEqual([undefined, onReceived]);
});

it('holds back what comes after data without credit, and sends a FIN that needs none', () => {
  const { outbox, data } = outboxWith(1);
  data(2);
  outbox.push({ type: FrameType.Control, flags: 0, payload: new Uint8Array(3) });
  expect([outbox.next()?.payload.byteLength, outbox.next()]).toEqual([1, undefined]);
  const empty = outboxWith(0);
  empty.data(0, FrameFlag.Fin);
  expect(empty.outbox.next()).toMatchObject({ flags: FrameFlag.Fin });
});

it('lets senders wait until no more than the bound is left, and wakes them all', async () => {
  const { outbox, data } = outboxWith(BOUND + 2 * FRAME);
  data(BOUND);
  await outbox.room();
  data(2 * FRAME);
  const woken = vi.fn<() => void>();
  const waiting = [outbox.room().then(woken), outbox.room().then(woken)];
  outbox.next();
  await settle();
  expect(woken).not.toHaveBeenCalled();
  outbox.next();
  await Promise.all(waiting);
  expect(woken).toHaveBeenCalledTimes(2);
});

it('tells those who wait why it was cleared', async () => {
  const { outbox, data } = outboxWith(0);
  data(BOUND + 1);
  const waiting = outbox.room();
  outbox.clear(new Error('lost'));
  await expect(waiting).rejects.toThrow('lost');
  expect(outbox.next()).toBeUndefined();
  await outbox.room();
});

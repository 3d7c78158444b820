import { FrameType } from '@drawbridge/protocol';
import type { Frame } from '@drawbridge/protocol';
import { expect, it, vi } from 'vitest';
import { FakeClock } from '../../testkit/src/fake-clock.ts';
import { Resume } from './resume.ts';

const ONE = '11111111-1111-4111-8111-111111111111';
const OTHER = '22222222-2222-4222-8222-222222222222';

const frame = (channelId: number): Frame => ({ type: FrameType.Data, flags: 0, channelId, payload: new Uint8Array(1) });

function resuming() {
  const onPeerLost = vi.fn<() => void>();
  const report = vi.fn<(count: number) => void>();
  return { resume: new Resume({ clock: new FakeClock(), report, onPeerLost }), onPeerLost, report };
}

it('flows once both answers are known, and not before', () => {
  const { resume } = resuming();
  expect(resume.isFlowing).toBe(false);
  expect(resume.resume({ epoch: 3, peer_instance: ONE })).toEqual({ epoch: 3, received: 0 });
  expect(resume.isFlowing).toBe(false);
  resume.agreed({ epoch: 3, received: 0 });
  expect(resume.isFlowing).toBe(true);
  resume.interrupt();
  expect(resume.isFlowing).toBe(false);
});

it('answers with the number of frames it has', () => {
  const { resume } = resuming();
  resume.resume({ epoch: 1, peer_instance: ONE });
  resume.agreed({ epoch: 1, received: 0 });
  for (const _ of [1, 2, 3]) resume.noteReceived(frame(1));
  expect(resume.resume({ epoch: 2, peer_instance: ONE })).toEqual({ epoch: 2, received: 3 });
  expect(resume.isFlowing).toBe(false);
});

it('sends again from what the other end has', () => {
  const { resume } = resuming();
  resume.resume({ epoch: 1, peer_instance: ONE });
  resume.agreed({ epoch: 1, received: 0 });
  for (const number of [1, 2, 3]) resume.sent.push(frame(number));
  resume.resume({ epoch: 2, peer_instance: ONE });
  resume.agreed({ epoch: 2, received: 1 });
  expect([resume.sent.next()?.channelId, resume.sent.next()?.channelId, resume.sent.next()]).toEqual([2, 3, undefined]);
});

it('takes a RESUME that replaces an unfinished one, and then only the answer to that', () => {
  const { resume } = resuming();
  resume.resume({ epoch: 1, peer_instance: ONE });
  resume.resume({ epoch: 2, peer_instance: ONE });
  resume.agreed({ epoch: 1, received: 0 });
  expect(resume.isFlowing).toBe(false);
  resume.agreed({ epoch: 2, received: 0 });
  expect(resume.isFlowing).toBe(true);
});

it('takes one answer for each RESUME: a second one rewinds nothing', () => {
  const { resume } = resuming();
  resume.resume({ epoch: 1, peer_instance: ONE });
  resume.agreed({ epoch: 1, received: 0 });
  resume.sent.push(frame(1));
  resume.agreed({ epoch: 1, received: 0 });
  expect(resume.sent.next()).toBeUndefined();
});

it.each([
  ['the same', 5],
  ['an older', 4],
])('refuses a RESUME of %s epoch', (_what, epoch) => {
  const { resume } = resuming();
  resume.resume({ epoch: 5, peer_instance: ONE });
  expect(() => resume.resume({ epoch, peer_instance: ONE })).toThrow(`RESUME ${epoch} after 5`);
});

it('refuses an answer to a RESUME that did not come', () => {
  const { resume } = resuming();
  expect(() => resume.agreed({ epoch: 1, received: 0 })).toThrow('RESUME+ACK 1 before its RESUME');
});

it('begins anew, and says so once, when the other end is another process', () => {
  const { resume, onPeerLost } = resuming();
  resume.resume({ epoch: 1, peer_instance: ONE });
  expect(onPeerLost).not.toHaveBeenCalled();
  resume.agreed({ epoch: 1, received: 0 });
  resume.sent.push(frame(1));
  resume.noteReceived(frame(1));
  expect(resume.resume({ epoch: 2, peer_instance: OTHER })).toEqual({ epoch: 2, received: 0 });
  expect(resume.sent.size).toBe(0);
  resume.agreed({ epoch: 2, received: 0 });
  resume.resume({ epoch: 3, peer_instance: OTHER });
  expect(onPeerLost).toHaveBeenCalledTimes(1);
});

it('flows no more once stopped, and leaves no timer', () => {
  const clock = new FakeClock();
  const resume = new Resume({ clock, report: () => {}, onPeerLost: () => {} });
  resume.resume({ epoch: 1, peer_instance: ONE });
  resume.agreed({ epoch: 1, received: 0 });
  resume.noteReceived(frame(1));
  resume.stop();
  expect([resume.isFlowing, clock.pending]).toEqual([false, 0]);
});

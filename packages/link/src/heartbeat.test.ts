import { LIMITS } from '@drawbridge/protocol';
import { expect, it, vi } from 'vitest';
import { FakeClock } from '../../testkit/src/fake-clock.ts';
import { Heartbeat } from './heartbeat.ts';

function start(intervalMs?: number) {
  const clock = new FakeClock();
  const beats: number[] = [];
  const onSilent = vi.fn<() => void>();
  const beat = () => {
    beats.push(clock.monotonic());
    return `beat ${beats.length}`;
  };
  const heartbeat = new Heartbeat({ clock, beat, onSilent, ...(intervalMs !== undefined && { intervalMs }) });
  return { clock, heartbeat, beats, onSilent };
}

it('beats at once and then at every interval', async () => {
  const { clock, heartbeat, beats } = start();
  await clock.advance(40_000);
  expect(beats).toEqual([0, 20_000, 40_000]);
  heartbeat.stop();
});

it('takes another interval from now on', async () => {
  const { clock, heartbeat, beats } = start();
  await clock.advance(5_000);
  heartbeat.setInterval(10_000);
  await clock.advance(20_000);
  expect(beats).toEqual([0, 15_000, 25_000]);
  heartbeat.stop();
});

it.each([
  [1, LIMITS.heartbeatIntervalMsMin],
  [1_000_000, LIMITS.heartbeatIntervalMsMax],
])('keeps an interval of %i ms within the limits', (asked, kept) => {
  const { heartbeat } = start(asked);
  expect(heartbeat.intervalMs).toBe(kept);
  heartbeat.setInterval(asked);
  expect(heartbeat.intervalMs).toBe(kept);
  heartbeat.stop();
});

it('tells of silence once, 45 s after the last byte, and leaves no timer', async () => {
  const { clock, heartbeat, onSilent, beats } = start();
  await clock.advance(30_000);
  heartbeat.heard();
  await clock.advance(44_999);
  expect(onSilent).not.toHaveBeenCalled();
  await clock.advance(1);
  expect(onSilent).toHaveBeenCalledTimes(1);
  expect(clock.pending).toBe(0);
  const count = beats.length;
  heartbeat.setInterval(1_000);
  await clock.advance(100_000);
  expect(onSilent).toHaveBeenCalledTimes(1);
  expect(beats).toHaveLength(count);
});

it('is not fooled by a clock that is set forward', async () => {
  const { clock, heartbeat, onSilent } = start();
  clock.skew(3_600_000);
  await clock.advance(44_000);
  expect(onSilent).not.toHaveBeenCalled();
  heartbeat.stop();
});

it('stops twice without harm', async () => {
  const { clock, heartbeat, beats } = start();
  heartbeat.stop();
  heartbeat.stop();
  expect(clock.pending).toBe(0);
  await clock.advance(60_000);
  expect(beats).toHaveLength(1);
});

it('measures the round trip of an answered beat, and of no other', async () => {
  const { clock, heartbeat } = start();
  await clock.advance(35);
  heartbeat.answered('somebody else');
  expect(heartbeat.rttMs).toBeUndefined();
  heartbeat.answered('beat 1');
  expect(heartbeat.rttMs).toBe(35);
  await clock.advance(5);
  heartbeat.answered('beat 1');
  expect(heartbeat.rttMs).toBe(35);
  heartbeat.stop();
});

it('forgets beats that were never answered', async () => {
  const { clock, heartbeat } = start(1_000);
  await clock.advance(10_000);
  heartbeat.answered('beat 1');
  expect(heartbeat.rttMs).toBeUndefined();
  heartbeat.answered('beat 11');
  expect(heartbeat.rttMs).toBe(0);
  heartbeat.stop();
});

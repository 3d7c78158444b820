import { FakeClock } from '@drawbridge/testkit';
import { expect, it } from 'vitest';
import { MESSAGE_PACE, MessagePace } from './message-pace.ts';

function talk(pace: MessagePace, messages: number, lengthBytes = 100): number {
  let waitMs = 0;
  for (let message = 0; message < messages; message += 1) waitMs = pace.heard(lengthBytes);
  return waitMs;
}

it('lets a burst through, then asks for as long a pause as makes up for it', async () => {
  const clock = new FakeClock();
  const pace = new MessagePace(clock);
  expect(talk(pace, MESSAGE_PACE.burst)).toBe(0);
  expect(talk(pace, 500)).toBe(500);
  await clock.advance(500);
  expect(pace.heard(100)).toBe(1);
});

it('never stops an agent that keeps to the pace', async () => {
  const clock = new FakeClock();
  const pace = new MessagePace(clock);
  for (let second = 0; second < 20; second += 1) {
    expect(talk(pace, MESSAGE_PACE.perSecond)).toBe(0);
    await clock.advance(1_000);
  }
});

it('counts a long message as many', () => {
  const pace = new MessagePace(new FakeClock());
  expect(talk(pace, 78, 256 * 1024)).toBe(0);
  expect(talk(pace, 1, 256 * 1024)).toBeGreaterThan(0);
});

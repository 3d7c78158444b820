import { LIMITS } from '@drawbridge/protocol';
import { expect, it } from 'vitest';
import { FakeClock } from '../../testkit/src/fake-clock.ts';
import { RttProbe } from './rtt-probe.ts';

function probing() {
  const clock = new FakeClock();
  const sent: Uint8Array[] = [];
  const probe = new RttProbe(clock, (_channelId, payload) => sent.push(payload));
  const measure = async (rttMs: number) => {
    probe.flowing(1);
    await clock.advance(rttMs);
    probe.answered(sent.at(-1) ?? new Uint8Array(8));
    await clock.advance(LIMITS.rttProbeIntervalMs);
    return probe.rttMs;
  };
  return { clock, sent, probe, measure };
}

it('asks at most every 10 s, however much flows', async () => {
  const { clock, sent, probe } = probing();
  for (let second = 0; second < 20; second += 1) {
    probe.flowing(1);
    await clock.advance(1_000);
  }
  expect(sent.map((payload) => payload.byteLength)).toEqual([8, 8]);
});

it('follows a shorter round trip at once and a longer one slowly', async () => {
  const { measure } = probing();
  expect([await measure(100), await measure(20), await measure(100)]).toEqual([100, 20, 40]);
});

it('ignores answers it did not ask for', async () => {
  const { clock, sent, probe } = probing();
  probe.answered(new Uint8Array(8));
  probe.flowing(1);
  probe.answered(new Uint8Array(8));
  await clock.advance(10);
  probe.answered(sent[0] ?? new Uint8Array(8));
  await clock.advance(10);
  probe.answered(sent[0] ?? new Uint8Array(8));
  expect(probe.rttMs).toBe(10);
});

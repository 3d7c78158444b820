import { FakeClock } from '@drawbridge/testkit';
import { memoryLog } from '@drawbridge/runtime/testing';
import { expect, it } from 'vitest';
import { openLink } from './agent-fixture.ts';
import { Telemetry } from './telemetry.ts';

const INTERVAL_MS = 20_000;

/** Telemetry whose samples count themselves. */
function makeTelemetry(capacity: number) {
  const clock = new FakeClock();
  const { log, lines } = memoryLog();
  let samples = 0;
  const sampler = { sample: () => Promise.resolve({ tasks_running: (samples += 1) }) };
  const telemetry = new Telemetry({ sampler, clock, log, capacity, intervalMs: () => INTERVAL_MS });
  const stop = new AbortController();
  const running = telemetry.run(stop.signal);
  return {
    clock,
    lines,
    telemetry,
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('over'));
      await running;
      expect(clock.pending).toBe(0);
    },
  };
}

it('keeps the newest samples while there is no link, tells them in order, and warns once', async () => {
  await using made = makeTelemetry(3);
  await made.clock.advance(INTERVAL_MS * 4);
  expect(made.telemetry.heartbeat()).toMatchObject({ tasks_running: 5, queue: { depth: 3, capacity: 3, dropped: 2 } });

  const { link, heard, cut } = await openLink(undefined, made.clock);
  made.telemetry.linkUp(link);
  await made.clock.advance(0);
  expect(heard.map(({ payload }) => payload)).toMatchObject(
    [3, 4, 5].map((tasks_running) => ({ samples: [{ sample: { tasks_running } }] })),
  );
  expect(made.lines).toMatchObject([{ level: 'warn', dropped: 2, msg: 'Message buffer full. Dropping oldest event.' }]);
  cut();
  await link[Symbol.asyncDispose]();
});

it('keeps nothing while there is a link: heartbeats carry the newest sample', async () => {
  await using made = makeTelemetry(3);
  const { link, cut } = await openLink(undefined, made.clock);
  await made.clock.advance(0);
  made.telemetry.linkUp(link);
  await made.clock.advance(INTERVAL_MS);
  expect(made.telemetry.heartbeat()).toMatchObject({ tasks_running: 2, queue: { depth: 0, dropped: 0 } });
  cut();
  await link[Symbol.asyncDispose]();
});

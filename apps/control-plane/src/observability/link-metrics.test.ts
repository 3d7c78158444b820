import { expect, it } from 'vitest';
import { Metrics } from './metrics.ts';
import { seriesOf } from './observability-fixture.ts';

function queue(dropped: number, depth = 0) {
  return { queue: { depth, capacity: 150, dropped } };
}

it('tells the round trips that agents report in seconds', async () => {
  const { links, registry } = new Metrics();
  links.heartbeat('a', { rtt_ms: 40 });
  links.heartbeat('a', {});
  const series = await seriesOf(registry);
  expect(series.get('drawbridge_heartbeat_round_trip_seconds_count')).toBe(1);
  expect(series.get('drawbridge_heartbeat_round_trip_seconds_sum')).toBeCloseTo(0.04);
});

it('counts what an agent dropped while it was away, once, whatever it says first', async () => {
  const { links, registry } = new Metrics();
  const dropped = async () => (await seriesOf(registry)).get('drawbridge_agent_telemetry_dropped_total');
  links.heartbeat('a', queue(5));
  expect(await dropped()).toBe(0);
  links.heartbeat('a', queue(9));
  links.heartbeat('a', queue(9));
  expect(await dropped()).toBe(4);
  // A new process counts from nothing.
  links.heartbeat('a', queue(2));
  expect(await dropped()).toBe(6);
});

it('tells how full the buffers were', async () => {
  const { links, registry } = new Metrics();
  links.heartbeat('a', queue(0, 75));
  links.heartbeat('b', queue(0, 150));
  const series = await seriesOf(registry);
  const upTo = (le: string) => series.get(`drawbridge_agent_telemetry_saturation_bucket{le="${le}"}`);
  expect([upTo('0.25'), upTo('0.5'), upTo('0.9'), upTo('+Inf')]).toEqual([0, 1, 1, 2]);
});

it('knows no more reasons for the end of a link than there are close codes of ours', async () => {
  const { links, registry } = new Metrics();
  for (const code of [1006, 4001, 4999, 3000]) links.closed(code);
  const series = await seriesOf(registry);
  const of = (reason: string) => series.get(`drawbridge_agent_disconnections_total{reason="${reason}"}`);
  expect([of('lost'), of('superseded'), of('other')]).toEqual([1, 1, 2]);
});

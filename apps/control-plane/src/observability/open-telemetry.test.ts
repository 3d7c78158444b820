import { systemClock } from '@drawbridge/link';
import { eventually } from '@drawbridge/testkit';
import { memoryLog } from '@drawbridge/runtime/testing';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ControlPlaneFixture } from '../control-plane-fixture.ts';
import { CommandTraces } from './command-traces.ts';
import { Metrics } from './metrics.ts';
import { seriesOf } from './observability-fixture.ts';
import { TraceCollector } from './open-telemetry-fixture.ts';
import { openTelemetry } from './open-telemetry.ts';
import { inRequest } from './request-context.ts';

let collector: TraceCollector;
let metrics: Metrics;
beforeEach(async () => {
  collector = await TraceCollector.start();
  metrics = new Metrics();
});
afterEach(() => collector[Symbol.asyncDispose]());

function open(more: { sample?: number } = {}) {
  const { log, lines } = memoryLog();
  const making = openTelemetry({ url: collector.url, sample: 1, clock: systemClock, log, metrics, ...more });
  return { making, lines };
}

const SPAN = { name: 'GET /x', kind: 'server', startMs: 1_000, parent: undefined, facts: {} } as const;
const ENDED = { isFailure: false, facts: {} } as const;

it('sends the stages of a command below the command, and that below the request, in one trace', async () => {
  await using control = await ControlPlaneFixture.make();
  const { commands } = control.parts;
  const agentId = await control.addAgent();
  {
    await using spans = await open().making;
    commands.follow(new CommandTraces(spans));
    const request = spans.start(SPAN);
    const { id } = await inRequest({ requestId: 'r1', traceparent: request.traceparent }, () =>
      control.create(agentId),
    );
    const link = await control.connect(agentId);
    await control.delivered(link, 1);
    await commands.started(link, id);
    await control.clock.advance(5_000);
    await commands.ended(link, id, { status: 'error', error: { code: 'agent_error', message: 'secret words' } });
    request.end(2_000, ENDED);
  }
  const named = new Map(collector.spans.map((span) => [span.name, span]));
  const [top, command] = [named.get('GET /x'), named.get('command agent.ping')];
  expect(new Set(collector.spans.map(({ traceId }) => traceId))).toEqual(new Set([top?.traceId]));
  expect(command?.parentSpanId).toBe(top?.spanId);
  const stages = ['command queued', 'command delivery', 'command execution'].map((name) => named.get(name));
  expect(stages.map((stage) => stage?.parentSpanId)).toEqual(stages.map(() => command?.spanId));
  const { startTimeUnixNano = '0', endTimeUnixNano = '0' } = stages[2] ?? {};
  expect(Number(BigInt(endTimeUnixNano) - BigInt(startTimeUnixNano)) / 1e9).toBeCloseTo(5, 1);
  expect(command?.status.code).toBe(2);
  expect(JSON.stringify(collector.spans)).not.toContain('secret words');
});

it('goes on with the trace that a caller brings, and keeps what the caller keeps', async () => {
  await using spans = await open({ sample: 0 }).making;
  const trace = 'a'.repeat(32);
  const kept = spans.start({ ...SPAN, parent: `00-${trace}-${'b'.repeat(16)}-01` });
  const notKept = spans.start({ ...SPAN, parent: `00-${trace}-${'b'.repeat(16)}-00` });
  expect(kept.traceparent).toMatch(new RegExp(`^00-${trace}-[0-9a-f]{16}-01$`));
  expect(notKept.traceparent).toMatch(new RegExp(`^00-${trace}-[0-9a-f]{16}-00$`));
  for (const span of [kept, notKept, spans.start(SPAN)]) span.end(2_000, ENDED);
  await spans[Symbol.asyncDispose]();
  expect(collector.spans).toHaveLength(1);
});

it('loses spans while the collector refuses them, says so once, and says when it takes them again', async () => {
  collector.status = 400;
  const { making, lines } = open();
  await using spans = await making;
  const lost = () => lines.filter(({ level }) => level === 'warn');
  for (const round of [1, 2]) {
    spans.start(SPAN).end(2_000, ENDED);
    await eventually(() => collector.requests >= round, { what: `refusal ${round}` });
  }
  collector.status = 200;
  spans.start(SPAN).end(2_000, ENDED);
  await eventually(() => lines.some(({ level }) => level === 'info'), { what: 'the collector to be back' });
  expect(lost()).toHaveLength(1);
  const series = await seriesOf(metrics.registry);
  expect(series.get('drawbridge_trace_spans_total{result="failed"}')).toBe(2);
  expect(series.get('drawbridge_trace_spans_total{result="exported"}')).toBe(1);
});

it('drops spans when more wait than the queue holds, and holds nobody up', async () => {
  await using spans = await open().making;
  for (let count = 0; count < 5_000; count += 1) spans.start(SPAN).end(2_000, ENDED);
  await spans[Symbol.asyncDispose]();
  expect(collector.spans.length).toBeLessThanOrEqual(2_048 + 512);
  expect(collector.spans.length).toBeGreaterThan(500);
});

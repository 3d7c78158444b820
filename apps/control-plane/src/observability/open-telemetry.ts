import type { SpanContext, TracerProvider as Tracers } from '@opentelemetry/api';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace';
import { withTimeout } from '@drawbridge/link';
import type { Clock } from '@drawbridge/link';
import { PROGRAM_VERSION } from '@drawbridge/runtime';
import type { Logger } from '@drawbridge/runtime';
import type { Metrics } from './metrics.ts';
import type { NewSpan, OpenSpan, SpanMaker } from './spans.ts';

/** Spans that wait for the collector; more are dropped. */
const SPANS_MAX = 2_048;
const BATCH_MAX = 512;
const EXPORT_EVERY_MS = 1_000;
const EXPORT_TIMEOUT_MS = 5_000;

/** Where spans go. */
export interface OpenTelemetryOptions {
  /** The collector's OTLP over HTTP: `https://collector/v1/traces`. */
  readonly url: string;
  /** Of the traces that begin here, the share that is kept. Whoever brings a trace has decided already. */
  readonly sample: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Pick<Metrics, 'spans'>;
}

/** Makes spans with the OpenTelemetry SDK, which is loaded here and nowhere else: who does not trace does not pay for it. */
export async function openTelemetry({ url, sample, clock, log, metrics }: OpenTelemetryOptions): Promise<SpanMaker> {
  const [api, sdk, { OTLPTraceExporter }, { resourceFromAttributes }] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/sdk-trace'),
    import('@opentelemetry/exporter-trace-otlp-http'),
    import('@opentelemetry/resources'),
  ]);
  const provider = new sdk.TracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'drawbridge', 'service.version': PROGRAM_VERSION }),
    sampler: new sdk.ParentBasedSampler({ root: new sdk.TraceIdRatioBasedSampler(sample) }),
    spanProcessors: [
      new sdk.BatchSpanProcessor({
        exporter: watched(new OTLPTraceExporter({ url, timeoutMillis: EXPORT_TIMEOUT_MS }), log, metrics),
        maxQueueSize: SPANS_MAX,
        maxExportBatchSize: BATCH_MAX,
        scheduledDelayMillis: EXPORT_EVERY_MS,
        exportTimeoutMillis: EXPORT_TIMEOUT_MS,
      }),
    ],
  });
  return {
    start: (span) => startSpan(api, provider, span),
    async [Symbol.asyncDispose]() {
      const late = () => new Error(`the collector took more than ${EXPORT_TIMEOUT_MS} ms`);
      await withTimeout(clock, EXPORT_TIMEOUT_MS, provider.shutdown(), late).catch((error: unknown) => {
        log.warn({ err: error }, 'last spans not exported');
      });
    },
  };
}

type Api = typeof import('@opentelemetry/api');

function startSpan(api: Api, tracers: Tracers, { name, kind, startMs, parent, facts }: NewSpan): OpenSpan {
  const above = parent === undefined ? undefined : spanContextOf(parent);
  const context = above === undefined ? api.ROOT_CONTEXT : api.trace.setSpanContext(api.ROOT_CONTEXT, above);
  const options = {
    kind: kind === 'server' ? api.SpanKind.SERVER : api.SpanKind.INTERNAL,
    startTime: startMs,
    attributes: facts,
  };
  const span = tracers.getTracer('drawbridge').startSpan(name, options, context);
  return {
    traceparent: traceparentOf(span.spanContext()),
    end(endMs, outcome) {
      span.setAttributes(outcome.facts);
      if (outcome.isFailure) span.setStatus({ code: api.SpanStatusCode.ERROR });
      span.end(Math.max(startMs, endMs));
    },
  };
}

/** Counts what the collector took, and says when it stops taking and when it takes again: not once for every batch. */
function watched(exporter: SpanExporter, log: Logger, metrics: Pick<Metrics, 'spans'>): SpanExporter {
  let isFailing = false;
  return {
    export(spans: ReadableSpan[], done) {
      exporter.export(spans, (result) => {
        // 0 is ExportResultCode.SUCCESS, of a package that is loaded only below this one.
        const code: number = result.code;
        const failed = code !== 0;
        metrics.spans(failed ? 'failed' : 'exported', spans.length);
        if (failed && !isFailing) log.warn({ err: result.error }, 'spans lost: the trace collector does not take them');
        if (!failed && isFailing) log.info('the trace collector takes spans again');
        isFailing = failed;
        done(result);
      });
    },
    shutdown: () => exporter.shutdown(),
    forceFlush: async () => exporter.forceFlush?.(),
  };
}

/** The parts of `version-trace-span-flags`; its schema has passed it. */
function spanContextOf(traceparent: string): SpanContext {
  const [, traceId = '', spanId = '', flags = ''] = traceparent.split('-');
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
}

function traceparentOf({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
}

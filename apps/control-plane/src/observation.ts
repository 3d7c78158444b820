import type { Clock } from '@drawbridge/link';
import type { Logger } from '@drawbridge/runtime';
import type { FastifyInstance } from 'fastify';
import type { CommandService } from './commands/command-service.ts';
import type { ServerConfig } from './config.ts';
import { listenForMetrics } from './http/metrics-listener.ts';
import { observeRequests } from './http/observe-requests.ts';
import { CommandLog } from './observability/command-log.ts';
import { CommandTraces } from './observability/command-traces.ts';
import { Metrics } from './observability/metrics.ts';
import { openTelemetry } from './observability/open-telemetry.ts';
import { collectProcessMetrics } from './observability/process-metrics.ts';
import type { SpanMaker } from './observability/spans.ts';
import { TaskLog } from './observability/task-log.ts';
import type { TaskService } from './tasks/task-service.ts';

export interface ObservationOptions {
  readonly config: Pick<ServerConfig, 'metrics' | 'tracing'>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What is seen of a control plane from outside: its numbers, its traces, and the lines that join them. */
export class Observation implements AsyncDisposable {
  readonly metrics: Metrics;
  readonly traces: CommandTraces;
  readonly #spans: SpanMaker | undefined;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #owned: AsyncDisposableStack;

  private constructor(
    options: ObservationOptions,
    metrics: Metrics,
    spans: SpanMaker | undefined,
    owned: AsyncDisposableStack,
  ) {
    this.metrics = metrics;
    this.traces = new CommandTraces(spans);
    this.#spans = spans;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#owned = owned;
  }

  /** Opens the listener for numbers and the way to the trace collector, as far as they are configured. */
  static async start(options: ObservationOptions): Promise<Observation> {
    const { config, clock, log } = options;
    const metrics = new Metrics();
    collectProcessMetrics(metrics.registry);
    await using owned = new AsyncDisposableStack();
    const { listen, token } = config.metrics;
    if (listen !== undefined) owned.use(await listenForMetrics({ ...listen, token, registry: metrics.registry, log }));
    const spans =
      config.tracing === undefined
        ? undefined
        : owned.use(await openTelemetry({ ...config.tracing, clock, log, metrics }));
    return new Observation(options, metrics, spans, owned.move());
  }

  /** Counts, traces and logs what becomes of commands and tasks. */
  follow(commands: CommandService, tasks: TaskService): void {
    commands.follow(new CommandLog(this.#log, this.traces));
    commands.follow(this.metrics.commands);
    commands.follow(this.traces);
    tasks.follow(new TaskLog(this.#log));
    tasks.follow(this.metrics.tasks);
  }

  /** Counts, traces and logs what is asked of the HTTP server. */
  requestsOf(app: FastifyInstance): void {
    observeRequests(app, { metrics: this.metrics, clock: this.#clock, spans: this.#spans });
  }

  /** Sends the last spans, for a few seconds at most. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#owned.disposeAsync();
  }
}

import { Counter, Gauge, Registry } from 'prom-client';
import { CommandMetrics } from './command-metrics.ts';
import { HttpMetrics } from './http-metrics.ts';
import { LinkMetrics } from './link-metrics.ts';
import { MessageTraffic } from './message-traffic.ts';
import { RefusalMetrics } from './refusal-metrics.ts';
import { TaskMetrics } from './task-metrics.ts';
import { TunnelMetrics } from './tunnel-metrics.ts';

/**
 * Everything the control plane counts while it works, and one place that shows it. No label has values that grow with the
 * number of agents, people or tasks, and none is a secret.
 */
export class Metrics {
  readonly registry = new Registry();
  readonly traffic = new MessageTraffic(this.registry);
  readonly links = new LinkMetrics(this.registry, this.traffic);
  readonly commands = new CommandMetrics(this.registry);
  readonly tasks = new TaskMetrics(this.registry);
  readonly http = new HttpMetrics(this.registry);
  readonly refusals = new RefusalMetrics(this.registry);
  readonly tunnels = new TunnelMetrics(this.registry);
  readonly #auditFailures = new Counter({
    name: 'drawbridge_audit_failures_total',
    help: 'Records of the audit log that could not be written.',
    registers: [this.registry],
  });
  readonly #spans = new Counter({
    name: 'drawbridge_trace_spans_total',
    help: 'Spans handed to the trace collector, by whether it took them.',
    labelNames: ['result'] as const,
    registers: [this.registry],
  });

  constructor() {
    for (const result of ['exported', 'failed']) this.#spans.inc({ result }, 0);
  }

  /** A decision that mattered was not written down. */
  auditFailed(): void {
    this.#auditFailures.inc();
  }

  spans(result: 'exported' | 'failed', count: number): void {
    this.#spans.inc({ result }, count);
  }

  /** A number that is read when somebody asks; reading it is quick and does not throw. */
  gauge(name: string, help: string, read: () => number): void {
    const collect = () => {
      gauge.set(read());
    };
    const gauge: Gauge = new Gauge({ name, help, registers: [this.registry], collect });
  }

  /** A number that only ever grows, kept by somebody else and read when somebody asks. */
  counter(name: string, help: string, read: () => number): void {
    const collect = () => {
      counter.reset();
      counter.inc(read());
    };
    const counter: Counter = new Counter({ name, help, registers: [this.registry], collect });
  }
}

import { TelemetryRing } from '@drawbridge/link';
import type { Clock } from '@drawbridge/link';
import type { HeartbeatPayload } from '@drawbridge/protocol';
import type { Logger } from '@drawbridge/runtime';
import type { HealthSampler } from './health/health-sampler.ts';
import type { AgentLink } from './link/agent-link.ts';

interface TimedSample {
  readonly at: string;
  readonly sample: HeartbeatPayload;
}

export interface TelemetryOptions {
  readonly sampler: Pick<HealthSampler, 'sample'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly capacity: number;
  readonly intervalMs: () => number;
}

/** Samples the machine's health. With a link the newest goes into heartbeats; without one they wait in a bounded ring. */
export class Telemetry {
  readonly #options: TelemetryOptions;
  readonly #ring: TelemetryRing<TimedSample>;
  #link: AgentLink | undefined;
  #newest: HeartbeatPayload = {};

  constructor(options: TelemetryOptions) {
    this.#options = options;
    this.#ring = new TelemetryRing({
      capacity: options.capacity,
      onDropped: (dropped) => options.log.warn({ dropped }, 'Message buffer full. Dropping oldest event.'),
    });
  }

  /** What a heartbeat says: the newest sample, and how the ring stands. */
  heartbeat(): HeartbeatPayload {
    const { depth, capacity, dropped } = this.#ring;
    return { ...this.#newest, queue: { depth, capacity, dropped } };
  }

  linkUp(link: AgentLink): void {
    this.#link = link;
    this.#ring.flush((item) => link.send('telemetry', { samples: [item] }));
  }

  linkDown(): void {
    this.#link = undefined;
  }

  /** Samples at every interval until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { sampler, clock, log, intervalMs } = this.#options;
    while (!signal.aborted) {
      try {
        this.#newest = await sampler.sample();
        if (this.#link === undefined)
          this.#ring.push({ at: new Date(clock.now()).toISOString(), sample: this.#newest });
      } catch (error) {
        log.warn({ err: error }, 'health not sampled');
      }
      await clock.sleep(intervalMs(), signal).catch(() => undefined);
    }
  }
}

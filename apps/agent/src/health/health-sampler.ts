import { cpus, freemem, loadavg, totalmem } from 'node:os';
import type { Clock } from '@drawbridge/link';
import type { HeartbeatPayload } from '@drawbridge/protocol';
import { AGENT_LIMITS } from '../limits.ts';
import type { ProviderInfo } from '../providers/provider.ts';
import { Cached } from './cached.ts';
import { cpuShare, type CpuTimes, cpuTimes } from './cpu.ts';
import { type DockerHealth, probeDocker } from './docker-probe.ts';
import type { ListenerCheck } from './listeners.ts';
import { bandwidth, type NetworkBytes, readNetworkBytes } from './network.ts';

/** Where the parts of a sample come from that only the rest of the agent knows. */
export interface HealthSources {
  /** Looks for the providers; asked every few minutes. */
  readonly probeProviders: () => Promise<readonly ProviderInfo[]>;
  readonly tasksRunning: () => number;
  readonly sessions: () => number;
  readonly tunnels: () => number;
  /** Since the start: times that a channel had data and no credit. */
  readonly creditStalls: () => number;
}

/** What a sampler needs. */
export interface HealthSamplerOptions {
  readonly clock: Clock;
  readonly sources: HealthSources;
  readonly listenerCheck: ListenerCheck;
  /** The path of the Docker engine's Unix socket; undefined when there is none to look at. */
  readonly dockerSocket: string | undefined;
}

/** Counters that mean something only against the sample before. */
interface Counters {
  readonly at: number;
  readonly cpu: CpuTimes;
  readonly network: NetworkBytes | undefined;
}

/** Samples the machine for heartbeats. `rtt_ms` and `queue` are the link's to add. */
export class HealthSampler {
  readonly #options: HealthSamplerOptions;
  readonly #providers: Cached<NonNullable<HeartbeatPayload['providers']>>;
  readonly #docker: Cached<DockerHealth | undefined>;
  #before: Counters | undefined;

  constructor(options: HealthSamplerOptions) {
    const { clock, sources, dockerSocket } = options;
    this.#options = options;
    this.#providers = new Cached(clock, AGENT_LIMITS.providerProbeIntervalMs, async () =>
      (await sources.probeProviders()).map(({ actions: _actions, ...health }) => health),
    );
    // No interval, but never two probes at a time: a stuck engine meets one question.
    this.#docker = new Cached(clock, 0, async () =>
      dockerSocket === undefined ? undefined : probeDocker(dockerSocket, clock),
    );
  }

  /** One sample. `cpu` and `bandwidth` cover the time since the sample before, and are missing in the first. */
  async sample(): Promise<HeartbeatPayload> {
    const { sources, listenerCheck } = this.#options;
    const [network, providers, docker, listeners] = await Promise.all([
      readNetworkBytes(),
      this.#providers.get(),
      this.#docker.get(),
      listenerCheck.listeners(),
    ]);
    return {
      ...this.#rates(network),
      load: loadavg(),
      memory: { total_bytes: totalmem(), available_bytes: freemem(), rss_bytes: process.memoryUsage.rss() },
      providers,
      ...(docker && { docker }),
      ...(listeners && { listeners: listeners.length }),
      tasks_running: sources.tasksRunning(),
      sessions: sources.sessions(),
      tunnels: sources.tunnels(),
      credit_stalls: sources.creditStalls(),
    };
  }

  #rates(network: NetworkBytes | undefined): Pick<HeartbeatPayload, 'cpu' | 'bandwidth'> {
    const now: Counters = { at: this.#options.clock.monotonic(), cpu: cpuTimes(cpus()), network };
    const before = this.#before;
    this.#before = now;
    if (before === undefined) return {};
    const cpu = cpuShare(before.cpu, now.cpu);
    return {
      ...(cpu !== undefined && { cpu }),
      ...(before.network && network && { bandwidth: bandwidth(before.network, network, now.at - before.at) }),
    };
  }
}

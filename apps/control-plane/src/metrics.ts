import { Gauge, Registry } from 'prom-client';
import type { HeartbeatPayload } from '@drawbridge/protocol';
import type { Presence } from './agents/presence.ts';
import type { SystemTunnels } from './tunnels/system-tunnels.ts';

/** What the control plane counts. Numbers are read when they are asked for; nothing is kept up to date in between. */
export function makeMetrics(presence: Presence, tunnels: SystemTunnels): Registry {
  const registry = new Registry();
  const sumOfHealth = (pick: (health: HeartbeatPayload | undefined) => number) => {
    let sum = 0;
    for (const link of presence.links()) sum += pick(link.health);
    return sum;
  };
  const gauges: readonly [string, string, () => number][] = [
    ['drawbridge_agents_connected', 'Agents with a live link.', () => presence.size],
    ['drawbridge_system_tunnels', 'Open system tunnels.', () => tunnels.size],
    [
      'drawbridge_agent_listeners',
      'TCP and UDP ports that connected agents listen on, by their own self-check: always 0.',
      () => sumOfHealth((health) => health?.listeners ?? 0),
    ],
    [
      'drawbridge_agent_telemetry_depth',
      'Health samples that wait at connected agents.',
      () => sumOfHealth((health) => health?.queue?.depth ?? 0),
    ],
    [
      'drawbridge_agent_telemetry_dropped',
      'Health samples that connected agents dropped while they were offline.',
      () => sumOfHealth((health) => health?.queue?.dropped ?? 0),
    ],
    ['process_resident_memory_bytes', 'Resident memory of the control plane.', () => process.memoryUsage.rss()],
  ];
  for (const [name, help, read] of gauges) registry.registerMetric(gauge(name, help, read));
  return registry;
}

function gauge(name: string, help: string, read: () => number): Gauge {
  return new Gauge({
    name,
    help,
    registers: [],
    collect() {
      this.set(read());
    },
  });
}

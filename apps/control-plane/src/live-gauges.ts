import type { HeartbeatPayload } from '@drawbridge/protocol';
import type { Presence } from './agents/presence.ts';
import type { Metrics } from './observability/metrics.ts';
import type { SystemTunnels } from './tunnels/system-tunnels.ts';
import { AgentLink } from './ws/agent-link.ts';

/** What is true right now, read from the nouns when somebody asks: nothing is kept up to date in between. */
export function liveGauges(metrics: Metrics, presence: Presence, tunnels: Pick<SystemTunnels, 'size'>): void {
  const sumOfHealth = (pick: (health: HeartbeatPayload) => number | undefined) => () => {
    let sum = 0;
    for (const { health } of presence.links()) sum += (health === undefined ? undefined : pick(health)) ?? 0;
    return sum;
  };
  const sumOfLinks = (pick: (link: AgentLink) => number) => () => {
    let sum = 0;
    for (const link of presence.links()) sum += link instanceof AgentLink ? pick(link) : 0;
    return sum;
  };
  const gauges: readonly [name: string, help: string, read: () => number][] = [
    ['drawbridge_agents_connected', 'Agents with a live link.', () => presence.size],
    ['drawbridge_system_tunnels', 'Open system tunnels.', () => tunnels.size],
    [
      'drawbridge_agent_listeners',
      'TCP and UDP ports that connected agents listen on, by their own self-check: always 0.',
      sumOfHealth(({ listeners }) => listeners),
    ],
    [
      'drawbridge_agent_tasks_running',
      'Tasks that run on connected agents, as they say.',
      sumOfHealth(({ tasks_running: tasksRunning }) => tasksRunning),
    ],
    [
      'drawbridge_agent_telemetry_depth',
      'Health samples that wait at connected agents.',
      sumOfHealth(({ queue }) => queue?.depth),
    ],
    [
      'drawbridge_agent_telemetry_capacity',
      'Health samples that connected agents have room for.',
      sumOfHealth(({ queue }) => queue?.capacity),
    ],
    [
      'drawbridge_commands_in_flight',
      'Commands sent on live links whose start is not acknowledged yet.',
      sumOfLinks(({ unacknowledged }) => unacknowledged.size),
    ],
    [
      'drawbridge_link_inbox_messages',
      'Messages of agents that wait for the store.',
      sumOfLinks(({ backlog }) => backlog.messages),
    ],
    [
      'drawbridge_links_paused',
      'Links that are not read because their inbox is full.',
      sumOfLinks(({ backlog }) => (backlog.isFull ? 1 : 0)),
    ],
    [
      'drawbridge_link_send_buffer_bytes',
      'Bytes for agents that the network has not taken yet.',
      sumOfLinks(({ backlog }) => backlog.bytes),
    ],
  ];
  for (const [name, help, read] of gauges) metrics.gauge(name, help, read);
}

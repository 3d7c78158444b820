import type { AgentView } from '@drawbridge/client';
import { labelText } from './output.ts';

type Fact = readonly [name: string, value: string];
type Health = NonNullable<AgentView['health']>;

/** What is known of an agent, for people: a line for each fact, what is unknown left out. */
export function agentFacts(agent: AgentView): Fact[] {
  const system = [agent.os, agent.arch].filter((part) => part !== null).join(' ');
  return [
    ['name', agent.name],
    ['id', agent.id],
    ['status', agent.status],
    ['system', system],
    ['version', agent.version ?? ''],
    ['labels', labelText(agent.labels)],
    ['can', agent.capabilities.join(', ')],
    ['connected', agent.connected_at ?? ''],
    ['disconnected', agent.disconnected_at ?? ''],
    ['last heartbeat', agent.last_heartbeat ?? ''],
    ...(agent.health === null ? [] : healthFacts(agent.health)),
  ];
}

function healthFacts({ rtt_ms: rttMs, load, memory, queue, docker, providers, ...counts }: Health): Fact[] {
  return [
    ['round trip', rttMs === undefined ? '' : `${rttMs.toFixed(1)} ms`],
    ['load', load?.map((share) => share.toFixed(2)).join(' ') ?? ''],
    [
      'memory',
      memory === undefined ? '' : `${gigabytes(memory.available_bytes)} free of ${gigabytes(memory.total_bytes)}`,
    ],
    ['queue', queue === undefined ? '' : `${queue.depth} of ${queue.capacity}, ${queue.dropped} dropped`],
    ['docker', docker === undefined ? '' : docker.reachable ? (docker.version ?? 'there') : 'not there'],
    ['providers', providers?.map(providerText).join(', ') ?? ''],
    ['tasks running', countText(counts.tasks_running)],
    ['sessions', countText(counts.sessions)],
    ['tunnels', countText(counts.tunnels)],
  ];
}

function providerText({ name, available }: { readonly name: string; readonly available: boolean }): string {
  return available ? name : `${name} (not there)`;
}

function countText(count: number | undefined): string {
  return count === undefined ? '' : String(count);
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}

import { arch, hostname, platform, release } from 'node:os';
import { OPERATIONS } from '@drawbridge/protocol';
import type { AgentInfo } from '@drawbridge/protocol';
import { PROGRAM_VERSION } from '@drawbridge/runtime';
import type { ListenerCheck } from './health/listeners.ts';
import type { ProviderRegistry } from './providers/registry.ts';

export interface InfoSources {
  readonly providers: ProviderRegistry;
  readonly listenerCheck: ListenerCheck;
  readonly isAllowed: (operation: string) => boolean;
  readonly capabilities: readonly string[];
  readonly startedAtMs: number;
}

/** What `agent.info` answers. */
export async function agentInfo(sources: InfoSources): Promise<AgentInfo> {
  const listeners = await sources.listenerCheck.listeners();
  return {
    version: PROGRAM_VERSION,
    os: `${platform()} ${release()}`.slice(0, 128),
    arch: arch(),
    hostname: hostname(),
    node: process.versions.node,
    pid: process.pid,
    started_at: new Date(sources.startedAtMs).toISOString(),
    capabilities: [...sources.capabilities],
    operations: Object.keys(OPERATIONS).filter(sources.isAllowed),
    providers: [...(await sources.providers.probeAll())],
    listeners: listeners?.length ?? 0,
  };
}

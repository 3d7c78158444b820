import type { Logger } from '@drawbridge/runtime';
import type { AgentConfig } from './config.ts';
import type { ProviderSettings } from './providers/provider.ts';

/** The providers of agent.yaml that this version has a driver for; the others are named in the log. */
export function providerSettings({ providers, tasks }: AgentConfig, log: Logger): Record<string, ProviderSettings> {
  const known: Record<string, ProviderSettings> = {};
  for (const [name, { kind, binary, args, actions, env }] of Object.entries(providers)) {
    if (kind !== 'shell' && kind !== 'command') {
      log.warn({ provider: name, kind }, 'provider left out: this version has no driver of that kind');
      continue;
    }
    known[name] = { kind, args, actions, env: [...tasks.env, ...env], ...(binary === undefined ? {} : { binary }) };
  }
  return known;
}

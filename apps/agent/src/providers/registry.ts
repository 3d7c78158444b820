import { ControlError, unreachable } from '@drawbridge/protocol';
import type { Logger } from '@drawbridge/runtime';
import { AGENT_LIMITS } from '../limits.ts';
import { CommandProvider } from './command.ts';
import type { Provider, ProviderAction, ProviderInfo, ProviderSettings } from './provider.ts';
import { ShellProvider } from './shell.ts';

/** What each of the first providers is allowed when its settings say nothing (S0-085..087). */
const ACTIONS_BY_NAME: ReadonlyMap<string, readonly ProviderAction[]> = new Map([
  ['claude', ['execute_task', 'update_config', 'stream_chunk']],
  ['copilot', ['execute_task', 'update_config']],
  ['gemini', ['execute_task', 'update_config', 'reset_context']],
]);
const ACTIONS_OF_OTHERS: readonly ProviderAction[] = ['execute_task', 'update_config', 'stream_chunk'];

/** The providers of this agent, and what may be asked of each. */
export class ProviderRegistry {
  readonly #providers: ReadonlyMap<string, Provider>;
  readonly #log: Pick<Logger, 'warn'> | undefined;

  /** Throws `invalid_request` for settings that make no provider. What is blocked is told to `log`. */
  constructor(settings: Readonly<Record<string, ProviderSettings>>, log?: Pick<Logger, 'warn'>) {
    this.#log = log;
    this.#providers = new Map(Object.entries(settings).map(([name, one]) => [name, makeProvider(name, one)]));
  }

  /** The provider of that name; `provider_unavailable` when there is none. */
  get(name: string): Provider {
    const provider = this.#providers.get(name);
    if (provider === undefined) throw new ControlError('provider_unavailable', `Unsupported provider: ${name}`);
    return provider;
  }

  /** Whether `provider` may be asked for `action`; one that is unknown may be asked for nothing. */
  allows(provider: string, action: string): boolean {
    return this.#providers.get(provider)?.actions.includes(action) ?? false;
  }

  /** To be called before anything is done for `action`: `operation_not_allowed` when it is not on the provider's list. */
  assertAllowed(provider: string, action: string): void {
    if (this.allows(provider, action)) return;
    const message = `Action ${action} blocked for provider ${provider}`;
    this.#log?.warn({ action, provider }, message);
    throw new ControlError('operation_not_allowed', message);
  }

  /** Looks for every provider. */
  probeAll(): Promise<readonly ProviderInfo[]> {
    return Promise.all([...this.#providers.values()].map(describe));
  }
}

async function describe(provider: Provider): Promise<ProviderInfo> {
  const { available, reason } = await provider.probe();
  return {
    name: provider.name,
    available,
    ...(reason !== undefined && { reason: reason.slice(0, AGENT_LIMITS.providerReasonCharactersMax) }),
    actions: [...provider.actions],
  };
}

function makeProvider(name: string, settings: ProviderSettings): Provider {
  const actions = settings.actions ?? ACTIONS_BY_NAME.get(name) ?? ACTIONS_OF_OTHERS;
  switch (settings.kind) {
    case 'shell':
      return new ShellProvider(name, actions, settings);
    case 'command':
      return new CommandProvider(name, actions, settings);
    default:
      return unreachable(settings.kind);
  }
}

import type { AgentConfigChange } from '@drawbridge/client';
import type { AgentConfigView } from '@drawbridge/protocol/api';
import type { Command } from 'commander';
import { connect } from '../access.ts';
import type { AccessOptions } from '../access.ts';
import { describeCommand } from '../describe-command.ts';
import { UsageError } from '../exit-codes.ts';
import { print } from '../output.ts';
import type { JsonOption } from '../output.ts';
import { facts } from '../table.ts';

const KEYS = ['heartbeat_interval', 'command_timeout'] as const;

interface ConfigOptions extends JsonOption, AccessOptions {
  readonly set?: readonly string[];
}

/** `agents config`: what one agent is told to do, and whether it does. */
export function defineAgentConfig(group: Command): void {
  describeCommand(group.command('config'), {
    does: "Shows what an agent is told to do, or tells it something else. The agent's own file has the last word.",
    examples: ['agents config build-1', 'agents config build-1 --set heartbeat_interval=10 command_timeout=60'],
    json: 'document',
  })
    .argument('<agent>', 'id or name')
    .option('--set <settings...>', `k=v in seconds, k=default for what all agents are told (${KEYS.join(', ')})`)
    .action(async (agent: string, options: ConfigOptions) => {
      const change = options.set === undefined ? undefined : changeOf(options.set);
      const client = await connect(options);
      const view = change === undefined ? await client.agentConfig(agent) : await client.configureAgent(agent, change);
      print(view, options, (shown) => facts(factsOf(shown)));
    });
}

function changeOf(settings: readonly string[]): AgentConfigChange {
  return Object.fromEntries(
    settings.map((text) => {
      const [, key = '', value = ''] = /^([a-z_]+)=(default|\d{1,9}(?:\.\d{1,3})?)$/.exec(text) ?? [];
      if (!KEYS.some((known) => known === key)) {
        throw new UsageError(`--set ${text}: expected ${KEYS.join(' or ')}, =, and seconds or "default"`);
      }
      return [key, value === 'default' ? null : Number(value)];
    }),
  );
}

function factsOf({ wanted, told, state, applied, reason }: AgentConfigView): [string, string][] {
  const settings = KEYS.map((key): [string, string] => {
    const whose = wanted[key] === null ? ' (as all agents)' : '';
    const does = applied?.[key] === undefined || applied[key] === told[key] ? '' : `, does ${applied[key]} s`;
    return [key.replaceAll('_', ' '), `${told[key]} s${whose}${does}`];
  });
  return [...settings, ['state', state], ['reason', reason ?? '']];
}

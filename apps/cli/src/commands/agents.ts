import type { Command } from 'commander';
import { Option } from 'commander';
import type { AgentFilter, AgentView } from '@drawbridge/client';
import { systemClock } from '@drawbridge/link/clock';
import { connect } from '../access.ts';
import type { AccessOptions } from '../access.ts';
import { agentFacts } from '../agent-facts.ts';
import { describeCommand } from '../describe-command.ts';
import { labelChanges } from '../labels.ts';
import { ago, labelText, line, print, printAll } from '../output.ts';
import type { JsonOption } from '../output.ts';
import { facts, table } from '../table.ts';
import type { Column } from '../table.ts';
import { defineAgentConfig } from './agent-config.ts';
import { defineAgentHealth } from './agent-health.ts';

type Common = JsonOption & AccessOptions;

const ID_OR_NAME = 'id or name';

export function defineAgents(group: Command): void {
  group.description('Machines that dial in.');
  describeCommand(group.command('ls'), {
    does: 'Lists agents.',
    examples: ['agents ls', 'agents ls --selector site=lab,env=prod --status online'],
    json: 'lines',
  })
    .option('-l, --selector <selector>', 'only those with these labels (k=v,…)')
    .addOption(new Option('--status <status>', 'only those').choices(['online', 'offline']))
    .action(async (options: Common & AgentFilter) => {
      const items = await (await connect(options)).listAgents(options);
      printAll(items, options, () => table(COLUMNS, items));
    });
  describeCommand(group.command('show'), {
    does: 'Shows an agent and its health.',
    examples: ['agents show build-1'],
    json: 'document',
  })
    .argument('<agent>', ID_OR_NAME)
    .action(async (agent: string, options: Common) => {
      print(await (await connect(options)).getAgent(agent), options, (view) => facts(agentFacts(view)));
    });
  describeCommand(group.command('rename'), {
    does: 'Gives an agent another name. Its id stays.',
    examples: ['agents rename build-1 build-berlin-1'],
    json: 'document',
  })
    .argument('<agent>', ID_OR_NAME)
    .argument('<name>', 'its new name')
    .action(async (agent: string, name: string, options: Common) => {
      const renamed = await (await connect(options)).updateAgent(agent, { name });
      print(renamed, options, () => line(`${agent} is now ${renamed.name}`));
    });
  describeCommand(group.command('label'), {
    does: 'Sets labels of an agent, and takes away those that end with "-". Others stay as they are.',
    examples: ['agents label build-1 site=lab env=prod', 'agents label build-1 env-'],
    json: 'document',
  })
    .argument('<agent>', ID_OR_NAME)
    .argument('<labels...>', 'k=v to set, k- to take away')
    .action(async (agent: string, labels: string[], options: Common) => {
      const changed = await (await connect(options)).updateAgent(agent, { labels: labelChanges(labels) });
      print(changed, options, () => line(`${changed.name}: ${labelText(changed.labels)}`));
    });
  defineAgentConfig(group);
  defineAgentHealth(group);
  describeCommand(group.command('revoke'), {
    does: 'Cuts an agent off for good: it has to enrol anew.',
    examples: ['agents revoke build-1'],
    json: 'document',
  })
    .argument('<agent>', ID_OR_NAME)
    .action(async (agent: string, options: Common) => {
      await (await connect(options)).revokeAgent(agent);
      print({ agent, revoked: true }, options, () => line(`revoked ${agent}`));
    });
}

const COLUMNS: readonly Column<AgentView>[] = [
  { header: 'NAME', cell: ({ name }) => name, isWhole: true },
  {
    header: 'STATUS',
    cell: ({ status }) => status,
    isWhole: true,
    colour: ({ status }) => (status === 'online' ? 'green' : 'dim'),
  },
  { header: 'SYSTEM', cell: ({ os, arch }) => [os, arch].filter((part) => part !== null).join(' '), isExtra: true },
  { header: 'VERSION', cell: ({ version }) => version ?? '', isExtra: true },
  { header: 'LABELS', cell: ({ labels }) => labelText(labels) },
  { header: 'SINCE', cell: since, isWhole: true },
];

function since(agent: AgentView): string {
  return ago(agent.status === 'online' ? agent.connected_at : agent.disconnected_at, systemClock.now());
}

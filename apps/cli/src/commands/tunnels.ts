import { systemClock } from '@drawbridge/link/clock';
import { TunnelView } from '@drawbridge/protocol/api';
import type { AgentView } from '@drawbridge/protocol/api';
import type { Command } from 'commander';
import { Option } from 'commander';
import { connect } from '../access.ts';
import type { AccessOptions } from '../access.ts';
import { describeCommand } from '../describe-command.ts';
import { bytesText } from '../forward/bytes-text.ts';
import { targetText } from '../forward/forward-spec.ts';
import { ago, labelText, line, print, printAll } from '../output.ts';
import type { Colour, JsonOption } from '../output.ts';
import { facts, table } from '../table.ts';
import type { Column } from '../table.ts';

type Common = JsonOption & AccessOptions;

interface ListOptions extends Common {
  readonly agent?: string;
  readonly state?: TunnelView['state'];
  readonly all?: boolean;
}

const EXAMPLE_ID = '01a1fe6b-4ad7-73ce-bd40-b474a2723683';
const STATES = TunnelView.shape.state.options.flatMap((states) => states.options);

/** `tunnels`: what is open through agents. */
export function defineTunnels(group: Command): void {
  group.description('Tunnels through agents.');
  describeCommand(group.command('ls'), {
    does: 'Lists open tunnels. "system" ones are how the control plane reads what tasks wrote.',
    examples: ['tunnels ls', 'tunnels ls --agent build-1 --all'],
    json: 'lines',
  })
    .option('--agent <agent>', 'only through this agent')
    .addOption(new Option('--state <state>', 'only in this state').choices(STATES))
    .option('--all', 'also those that ended in the last seven days')
    .action(async ({ all, ...options }: ListOptions) => {
      const client = await connect(options);
      const { agent, state } = options;
      const items = await client.listTunnels({ agent, state, includeEnded: all });
      const agents = options.json === true || items.length === 0 ? [] : await client.listAgents();
      printAll(items, options, () => table(columnsFor(agents), items));
    });
  describeCommand(group.command('show'), {
    does: 'Shows what is known of a tunnel: whose it is, where it leads, who is connected, when it ends.',
    examples: [`tunnels show ${EXAMPLE_ID}`],
    json: 'document',
  })
    .argument('<tunnel>', 'id')
    .action(async (id: string, options: Common) => {
      print(await (await connect(options)).tunnel(id), options, factsOf);
    });
  describeCommand(group.command('close'), {
    does: "Ends a tunnel and all that goes through it; somebody else's takes the right to.",
    examples: [`tunnels close ${EXAMPLE_ID}`],
    json: 'document',
  })
    .argument('<tunnel>', 'id')
    .action(async (id: string, options: Common) => {
      await (await connect(options)).closeTunnel(id);
      print({ tunnel_id: id, closed: true }, options, () => line(`tunnel ${id} is closed`));
    });
}

function columnsFor(agents: readonly AgentView[]): readonly Column<TunnelView>[] {
  const names = new Map(agents.map(({ id, name }) => [id, name]));
  return [
    { header: 'TUNNEL', cell: ({ tunnel_id: id }) => id, isWhole: true },
    { header: 'AGENT', cell: ({ agent_id: id }) => names.get(id) ?? id },
    { header: 'KIND', cell: ({ kind, protocol }) => protocol ?? kind, isWhole: true },
    { header: 'STATE', cell: ({ state }) => state, isWhole: true, colour: ({ state }) => stateColour(state) },
    { header: 'TARGET', cell: ({ target }) => (target === null ? '' : targetText(target)), isExtra: true },
    { header: 'WHO', cell: ({ operator_name: name }) => name ?? '', isExtra: true },
    { header: 'CHANNELS', cell: ({ channels }) => String(channels), isExtra: true },
    { header: 'SINCE', cell: ({ created_at: at }) => ago(at, systemClock.now()), isWhole: true },
  ];
}

function stateColour(state: TunnelView['state']): Colour {
  if (state === 'active' || state === 'open') return 'green';
  return state === 'grace' ? 'yellow' : 'dim';
}

function factsOf({ target, legs, bytes, metadata, ...tunnel }: TunnelView): string {
  const plainFacts: Readonly<Record<string, string | number | null>> = tunnel;
  const ends = [legs.operator ? 'operator' : '', legs.agent ? 'agent' : ''].filter((name) => name !== '');
  return facts([
    ...Object.entries(plainFacts).map(([key, value]) => [key.replaceAll('_', ' '), String(value ?? '')] as const),
    ['target', target === null ? '' : targetText(target)],
    ['metadata', labelText(metadata ?? {})],
    ['connected', ends.length === 0 ? 'neither end' : ends.join(', ')],
    ['bytes', `${bytesText(bytes.up)} to the agent, ${bytesText(bytes.down)} from it`],
  ]);
}

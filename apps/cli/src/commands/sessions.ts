import { systemClock } from '@drawbridge/link/clock';
import type { SessionInfo } from '@drawbridge/client';
import type { Command } from 'commander';
import { connect } from '../access.ts';
import type { AccessOptions } from '../access.ts';
import { describeCommand } from '../describe-command.ts';
import { bytesText } from '../forward/bytes-text.ts';
import { ago, line, print, printAll } from '../output.ts';
import type { JsonOption } from '../output.ts';
import { facts, table } from '../table.ts';
import type { Column } from '../table.ts';

type Common = JsonOption & AccessOptions;

const EXAMPLE_ID = '4b9f2c1e-0d37-4c58-9a55-0e1c3a3f7b10';

/** `sessions`: what runs in terminals of agents. */
export function defineSessions(group: Command): void {
  group.description('Sessions on agents: shells and commands that stay when nobody looks.');
  describeCommand(group.command('ls'), {
    does: 'Lists the sessions of an agent, those that ended in the last minutes too.',
    examples: ['sessions ls build-1'],
    json: 'lines',
  })
    .argument('<agent>', 'id or name')
    .action(async (agent: string, options: Common) => {
      const items = await (await connect(options)).agentSessions.list(agent);
      printAll(items, options, () => table(COLUMNS, items));
    });
  describeCommand(group.command('show'), {
    does: 'Shows what is known of a session.',
    examples: [`sessions show build-1 ${EXAMPLE_ID}`],
    json: 'document',
  })
    .argument('<agent>', 'id or name')
    .argument('<session>', 'id')
    .action(async (agent: string, id: string, options: Common) => {
      print(await (await connect(options)).agentSessions.get(agent, id), options, factsOf);
    });
  describeCommand(group.command('kill'), {
    does: 'Ends a session and everything that runs in it.',
    examples: [`sessions kill build-1 ${EXAMPLE_ID}`],
    json: 'document',
  })
    .argument('<agent>', 'id or name')
    .argument('<session>', 'id')
    .action(async (agent: string, id: string, options: Common) => {
      const session = await (await connect(options)).agentSessions.end(agent, id);
      print(session, options, () => line(`session ${id} is over: ${stateText(session)}`));
    });
}

const COLUMNS: readonly Column<SessionInfo>[] = [
  { header: 'SESSION', cell: ({ session_id: id }) => id, isWhole: true },
  { header: 'COMMAND', cell: ({ command }) => command },
  {
    header: 'STATE',
    cell: stateText,
    isWhole: true,
    colour: ({ state }) => (state === 'running' ? 'green' : 'dim'),
  },
  { header: 'WHO', cell: ({ created_by_name: name }) => name, isExtra: true },
  { header: 'ATTACHED', cell: ({ viewers }) => String(viewers), isExtra: true },
  { header: 'OUTPUT', cell: ({ output_bytes: bytes }) => bytesText(bytes), isExtra: true },
  { header: 'SINCE', cell: ({ created_at: at }) => ago(at, systemClock.now()), isWhole: true },
];

function stateText({ state, exit_code: code, signal }: SessionInfo): string {
  if (state === 'running') return state;
  return signal === undefined ? `exit ${code ?? '?'}` : signal;
}

function factsOf(session: SessionInfo): string {
  return facts(Object.entries(session).map(([key, value]) => [key.replaceAll('_', ' '), String(value)] as const));
}

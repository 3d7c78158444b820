import { systemClock } from '@drawbridge/link/clock';
import type { HealthSample } from '@drawbridge/protocol/api';
import type { Command } from 'commander';
import { connect } from '../access.ts';
import type { AccessOptions } from '../access.ts';
import { describeCommand } from '../describe-command.ts';
import { parseDuration } from '../durations.ts';
import { printAll } from '../output.ts';
import type { JsonOption } from '../output.ts';
import { table } from '../table.ts';
import type { Column } from '../table.ts';

interface HealthOptions extends JsonOption, AccessOptions {
  readonly since: string;
}

/** `agents health`: how an agent fared. */
export function defineAgentHealth(group: Command): void {
  describeCommand(group.command('health'), {
    does: 'Shows how an agent fared, a line for each five minutes.',
    examples: ['agents health build-1 --since 6h'],
    json: 'lines',
  })
    .argument('<agent>', 'id or name')
    .option('--since <duration>', 'how far back', '1h')
    .action(async (agent: string, options: HealthOptions) => {
      const since = new Date(systemClock.now() - parseDuration(options.since) * 1000).toISOString();
      const samples = await Array.fromAsync((await connect(options)).agentHealth(agent, { since }));
      printAll(samples, options, () => table(COLUMNS, samples));
    });
}

const COLUMNS: readonly Column<HealthSample>[] = [
  { header: 'AT', cell: ({ at }) => at, isWhole: true },
  { header: 'CPU', cell: ({ cpu }) => percent(cpu) },
  { header: 'LOAD', cell: ({ load }) => load?.toFixed(2) ?? '' },
  { header: 'MEMORY', cell: memory },
  { header: 'IN', cell: ({ received_bytes_per_second: rate }) => kilobytes(rate), isExtra: true },
  { header: 'OUT', cell: ({ sent_bytes_per_second: rate }) => kilobytes(rate), isExtra: true },
  { header: 'ROUND TRIP', cell: ({ rtt_ms: rttMs }) => (rttMs === null ? '' : `${rttMs.toFixed(1)} ms`) },
  { header: 'TASKS', cell: ({ tasks_running: tasks }) => tasks?.toString() ?? '' },
];

/** How much of it is in use. */
function memory({ memory_total_bytes: total, memory_available_bytes: available }: HealthSample): string {
  return total === null || available === null || total === 0 ? '' : percent(1 - available / total);
}

function percent(share: number | null): string {
  return share === null ? '' : `${(share * 100).toFixed(0)} %`;
}

function kilobytes(rate: number | null): string {
  return rate === null ? '' : `${(rate / 1000).toFixed(1)} kB/s`;
}

import type { Command } from 'commander';
import { connect } from '../access.ts';
import { ago, printJson, table } from '../output.ts';

interface JsonOption {
  readonly json?: boolean;
}

export function addAgents(program: Command): void {
  const agents = program
    .command('agents')
    .summary('list, show and revoke agents')
    .description('Machines that dial in.');
  agents
    .command('ls')
    .description('Lists agents.')
    .option('--json', 'one JSON document per line')
    .addHelpText('after', '\nExample:\n  drawbridge agents ls')
    .action(async (options: JsonOption) => {
      const items = await (await connect()).listAgents();
      if (options.json === true) return items.forEach(printJson);
      const rows = items.map((agent) => [
        agent.name,
        agent.status,
        [agent.os, agent.arch].filter((part) => part !== null).join(' '),
        agent.version ?? '',
        Object.entries(agent.labels)
          .map(([key, value]) => `${key}=${value}`)
          .join(','),
        ago(agent.status === 'online' ? agent.connected_at : agent.disconnected_at, Date.now()),
      ]);
      process.stdout.write(table(['NAME', 'STATUS', 'SYSTEM', 'VERSION', 'LABELS', 'SINCE'], rows));
    });
  agents
    .command('show')
    .description('Shows an agent and its health.')
    .argument('<agent>', 'id or name')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample:\n  drawbridge agents show build-1')
    .action(async (name: string, options: JsonOption) => {
      const agent = await (await connect()).getAgent(name);
      if (options.json === true) return printJson(agent);
      const rows = Object.entries(agent).map(([key, value]) => [
        key,
        typeof value === 'string' ? value : JSON.stringify(value),
      ]);
      process.stdout.write(table(['KEY', 'VALUE'], rows));
    });
  agents
    .command('revoke')
    .description('Cuts an agent off for good: it has to enrol anew.')
    .argument('<agent>', 'id or name')
    .addHelpText('after', '\nExample:\n  drawbridge agents revoke build-1')
    .action(async (name: string) => {
      await (await connect()).revokeAgent(name);
      process.stdout.write(`revoked ${name}\n`);
    });
}

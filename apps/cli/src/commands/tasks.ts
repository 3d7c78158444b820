import type { Command } from 'commander';
import { connect } from '../access.ts';
import { UsageError } from '../exit-codes.ts';
import { ago, printJson, table } from '../output.ts';
import { interruptible, outcomeLine, pour, streamTask } from '../stream-task.ts';

interface JsonOption {
  readonly json?: boolean;
}

export function addTasks(program: Command): void {
  const tasks = program
    .command('tasks')
    .summary('list, show, read and cancel tasks')
    .description('Tasks and what they wrote.');
  tasks
    .command('ls')
    .description('Lists the newest tasks.')
    .option('--agent <agent>', 'only of this agent')
    .option('--limit <n>', 'how many', '20')
    .option('--json', 'one JSON document per line')
    .addHelpText('after', '\nExample:\n  drawbridge tasks ls --agent build-1')
    .action(async (options: JsonOption & { agent?: string; limit: string }) => {
      const client = await connect();
      const limit = Number(options.limit);
      if (!(Number.isInteger(limit) && limit >= 1 && limit <= 200)) throw new UsageError('--limit is 1 to 200');
      const [items, agents] = await Promise.all([
        client.listTasks({ limit, agent: options.agent }),
        client.listAgents(),
      ]);
      if (options.json === true) return items.forEach(printJson);
      const names = new Map(agents.map(({ id, name }) => [id, name]));
      const rows = items.map((task) => [
        task.id,
        names.get(task.agent_id) ?? task.agent_id,
        task.provider,
        task.state,
        task.exit_code === null ? '' : String(task.exit_code),
        ago(task.created_at, Date.now()),
      ]);
      process.stdout.write(table(['TASK', 'AGENT', 'PROVIDER', 'STATE', 'EXIT', 'CREATED'], rows));
    });
  tasks
    .command('show')
    .description('Shows what is known of a task.')
    .argument('<task>', 'id')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample:\n  drawbridge tasks show 01a1fe6b-4ad7-73ce-bd40-b474a2723683')
    .action(async (id: string, options: JsonOption) => {
      const task = await (await connect()).getTask(id);
      if (options.json === true) return printJson(task);
      const rows = Object.entries(task).map(([key, value]) => [
        key,
        typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value ?? ''),
      ]);
      process.stdout.write(table(['KEY', 'VALUE'], rows));
    });
  tasks
    .command('logs')
    .description('Prints what a task wrote; with -f on, until it has ended.')
    .argument('<task>', 'id')
    .option('-f, --follow', 'go on until the task has ended, and end with its exit code')
    .option('--since <offset>', 'start at this byte', '0')
    .option('--json', 'one JSON document per line')
    .addHelpText('after', '\nExample:\n  drawbridge tasks logs -f 01a1fe6b-4ad7-73ce-bd40-b474a2723683')
    .action(async (id: string, options: JsonOption & { follow?: boolean; since: string }) => {
      const since = Number(options.since);
      if (!Number.isSafeInteger(since) || since < 0) throw new UsageError('--since is a number of bytes');
      const client = await connect();
      const json = options.json === true;
      if (options.follow !== true) return pour(client.readOutput(id, 'output', since), { json, since });
      const leave = () => process.exit(130);
      process.exitCode = await interruptible((signal) => streamTask(client, id, { json, since }, signal), leave);
    });
  tasks
    .command('result')
    .description("Prints a task's result.")
    .argument('<task>', 'id')
    .addHelpText('after', '\nExample:\n  drawbridge tasks result 01a1fe6b-4ad7-73ce-bd40-b474a2723683')
    .action(async (id: string) => pour((await connect()).readOutput(id, 'result'), { json: false }));
  tasks
    .command('cancel')
    .description('Cancels a task: what it started is ended.')
    .argument('<task>', 'id')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample:\n  drawbridge tasks cancel 01a1fe6b-4ad7-73ce-bd40-b474a2723683')
    .action(async (id: string, options: JsonOption) => {
      const task = await (await connect()).cancelTask(id);
      if (options.json === true) printJson(task);
      else
        process.stdout.write(
          task.ended_at === null ? `task ${task.id} is being cancelled\n` : `${outcomeLine(task)}\n`,
        );
    });
}

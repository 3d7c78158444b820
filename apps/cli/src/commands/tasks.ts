import type { Command } from 'commander';
import { Option } from 'commander';
import { TaskView } from '@drawbridge/client';
import type { AgentView, TaskFilter } from '@drawbridge/client';
import { systemClock } from '@drawbridge/link/clock';
import { connect } from '../access.ts';
import type { AccessOptions } from '../access.ts';
import { describeCommand } from '../describe-command.ts';
import { ExitCode, UsageError } from '../exit-codes.ts';
import { ago, line, print, printAll } from '../output.ts';
import type { JsonOption } from '../output.ts';
import { interruptible, outcomeLine, pour, stateColour, streamTask } from '../stream-task.ts';
import { facts, table } from '../table.ts';
import type { Column } from '../table.ts';

type Common = JsonOption & AccessOptions;

interface LogsOptions extends Common {
  readonly follow?: boolean;
  readonly since: string;
}

const EXAMPLE_ID = '01a1fe6b-4ad7-73ce-bd40-b474a2723683';

export function defineTasks(group: Command): void {
  group.description('Tasks and what they wrote.');
  describeCommand(group.command('ls'), {
    does: 'Lists the newest tasks.',
    examples: ['tasks ls --agent build-1', 'tasks ls --state running --selector site=lab'],
    json: 'lines',
  })
    .option('--agent <agent>', 'only of this agent')
    .option('-l, --selector <selector>', 'only of agents with these labels (k=v,…)')
    .addOption(new Option('--state <state>', 'only in this state').choices(TaskView.shape.state.options))
    .option('--limit <n>', 'how many', '20')
    .action(listTasks);
  describeCommand(group.command('show'), {
    does: 'Shows what is known of a task.',
    examples: [`tasks show ${EXAMPLE_ID}`],
    json: 'document',
  })
    .argument('<task>', 'id')
    .action(async (id: string, options: Common) => {
      print(await (await connect(options)).getTask(id), options, factsOf);
    });
  describeCommand(group.command('logs'), {
    does: 'Prints what a task wrote; with -f on, until it has ended.',
    examples: [`tasks logs -f ${EXAMPLE_ID}`],
    json: 'lines',
  })
    .argument('<task>', 'id')
    .option('-f, --follow', 'go on until the task has ended, and end with its exit code')
    .option('--since <offset>', 'start at this byte', '0')
    .action(printLogs);
  describeCommand(group.command('result'), {
    does: "Prints a task's result.",
    examples: [`tasks result ${EXAMPLE_ID}`],
    json: 'lines',
  })
    .argument('<task>', 'id')
    .action(async (id: string, options: Common) => {
      await pour((await connect(options)).readOutput(id, 'result'), { json: options.json === true });
    });
  describeCommand(group.command('cancel'), {
    does: 'Cancels a task: what it started is ended.',
    examples: [`tasks cancel ${EXAMPLE_ID}`],
    json: 'document',
  })
    .argument('<task>', 'id')
    .action(async (id: string, options: Common) => {
      print(await (await connect(options)).cancelTask(id), options, (task) =>
        task.ended_at === null ? line(`task ${task.id} is being cancelled`) : `${outcomeLine(task)}\n`,
      );
    });
}

async function listTasks(options: Common & Omit<TaskFilter, 'limit'> & { limit: string }): Promise<void> {
  const limit = Number(options.limit);
  if (!(Number.isInteger(limit) && limit >= 1 && limit <= 200)) throw new UsageError('--limit is 1 to 200');
  const client = await connect(options);
  const items = await client.listTasks({ ...options, limit });
  if (options.json === true) return printAll(items, options, () => '');
  process.stdout.write(table(columns(await client.listAgents()), items));
}

async function printLogs(id: string, options: LogsOptions): Promise<void> {
  const since = Number(options.since);
  if (!Number.isSafeInteger(since) || since < 0) throw new UsageError('--since is a number of bytes');
  const client = await connect(options);
  const json = options.json === true;
  if (options.follow !== true) return pour(client.readOutput(id, 'output', since), { json, since });
  const leave = () => process.exit(ExitCode.Interrupted);
  process.exitCode = await interruptible((signal) => streamTask(client, id, { json, since }, signal), leave);
}

function columns(agents: readonly AgentView[]): Column<TaskView>[] {
  const names = new Map(agents.map(({ id, name }) => [id, name]));
  return [
    { header: 'TASK', cell: ({ id }) => id, isWhole: true },
    { header: 'AGENT', cell: (task) => names.get(task.agent_id) ?? task.agent_id },
    { header: 'STATE', cell: ({ state }) => state, isWhole: true, colour: ({ state }) => stateColour(state) },
    {
      header: 'EXIT',
      cell: (task) => (task.exit_code === null ? '' : String(task.exit_code)),
      isWhole: true,
      isExtra: true,
    },
    { header: 'CREATED', cell: (task) => ago(task.created_at, systemClock.now()), isWhole: true, isExtra: true },
    { header: 'PROVIDER', cell: ({ provider }) => provider, isExtra: true },
  ];
}

function factsOf({ error, ...task }: TaskView): string {
  return facts([
    ...Object.entries(task).map(([key, value]) => [key.replaceAll('_', ' '), String(value ?? '')] as const),
    ['error', error === null ? '' : `${error.message} (${error.code})`],
  ]);
}

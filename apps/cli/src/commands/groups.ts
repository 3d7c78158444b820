import type { Command } from 'commander';
import type { NewBulkRun } from '@drawbridge/client';
import { BULK_LIMITS } from '@drawbridge/protocol/api';
import type { AgentView, GroupView } from '@drawbridge/protocol/api';
import { z } from 'zod';
import { connect } from '../access.ts';
import type { AccessOptions } from '../access.ts';
import { describeCommand } from '../describe-command.ts';
import { parseDuration } from '../durations.ts';
import { UsageError } from '../exit-codes.ts';
import { followBulkRun } from '../follow-bulk-run.ts';
import { readInstructions } from '../instructions.ts';
import { labelText, line, note, print, printAll } from '../output.ts';
import type { JsonOption } from '../output.ts';
import { patience } from '../patience.ts';
import { interruptible } from '../stream-task.ts';
import { facts, table } from '../table.ts';
import type { Column } from '../table.ts';

type Common = JsonOption & AccessOptions;

interface RunOptions extends Common {
  readonly selector?: string;
  readonly operation?: string;
  readonly params?: string;
  readonly provider?: string;
  readonly file?: string;
  readonly mode?: string;
  readonly model?: string;
  readonly timeout?: string;
  readonly queue?: boolean;
  readonly ttl?: string;
  readonly concurrency: string;
  readonly failuresMax?: string;
}

const ID_OR_NAME = 'id or name of the group';

/** `groups`: selectors under a name, and one thing done on many agents. */
export function defineGroups(group: Command): void {
  group.description('Groups of agents, and what is run on all of them.');
  describeCommand(group.command('ls'), { does: 'Lists groups.', examples: ['groups ls'], json: 'lines' }).action(
    async (options: Common) => {
      const items = await (await connect(options)).groups.list();
      printAll(items, options, () => table(GROUP_COLUMNS, items));
    },
  );
  describeCommand(group.command('create'), {
    does: 'Gives a selector a name. Which agents are in the group is decided each time it is used.',
    examples: ['groups create lab --selector site=lab,env=prod'],
    json: 'document',
  })
    .argument('<name>', 'letters, digits, . _ -')
    .requiredOption('-l, --selector <selector>', 'the labels of its agents (k=v,…)')
    .option('--description <text>', 'what it is for')
    .action(async (name: string, { selector, description, ...options }: Common & Omit<GroupView, 'name'>) => {
      const made = await (await connect(options)).groups.create({ name, selector, description });
      print(made, options, () => line(`group ${made.name}: ${made.selector}`));
    });
  describeCommand(group.command('show'), { does: 'Shows a group.', examples: ['groups show lab'], json: 'document' })
    .argument('<group>', ID_OR_NAME)
    .action(async (name: string, options: Common) => {
      const found = await (await connect(options)).groups.get(name);
      print(found, options, () =>
        facts(Object.entries(found).map(([key, value]) => [key.replaceAll('_', ' '), value])),
      );
    });
  describeCommand(group.command('rm'), {
    does: 'Removes a group. Its agents stay.',
    examples: ['groups rm lab'],
    json: 'document',
  })
    .argument('<group>', ID_OR_NAME)
    .action(async (name: string, options: Common) => {
      await (await connect(options)).groups.remove(name);
      print({ group: name, removed: true }, options, () => line(`removed ${name}`));
    });
  describeCommand(group.command('agents'), {
    does: 'Lists the agents that are in a group now.',
    examples: ['groups agents lab'],
    json: 'lines',
  })
    .argument('<group>', ID_OR_NAME)
    .action(async (name: string, options: Common) => {
      const items = await (await connect(options)).groups.agents(name);
      printAll(items, options, () => table(AGENT_COLUMNS, items));
    });
  defineRun(group);
}

function defineRun(group: Command): void {
  describeCommand(group.command('run'), {
    does: 'Runs a task, or one operation, on all agents of a group or a selector, and shows how each of them ends.',
    examples: [
      "groups run lab --provider shell 'uname -a'",
      'groups run lab --provider shell --file deploy.sh --concurrency 2 --failures-max 0',
      'groups run -l env=prod --operation agent.ping --json',
    ],
    json: 'lines',
  })
    .argument('[group]', `${ID_OR_NAME}, unless there is a --selector`)
    .argument('[instructions]', 'what to do, or - to read it from standard input')
    .option('-l, --selector <selector>', 'agents with these labels (k=v,…) instead of a group')
    .option('--operation <operation>', 'an operation, such as agent.ping, instead of a task')
    .option('--params <json>', 'its parameters')
    .option('-p, --provider <name>', 'who carries the task out: shell, or what the agents have')
    .option('-f, --file <file>', 'read the instructions from a file')
    .option('--mode <mode>', "the provider's mode")
    .option('--model <model>', "the provider's model")
    .option('--timeout <duration>', 'end each after this time (90s, 30m, 2h)')
    .option('--queue', 'wait for agents that are offline')
    .option('--ttl <duration>', 'how long to wait for them (default 24h)')
    .option('--concurrency <n>', 'agents at once', String(BULK_LIMITS.concurrencyDefault))
    .option('--failures-max <n>', 'start nothing more after more failures than this')
    .action(async (first: string | undefined, second: string | undefined, options: RunOptions) => {
      // With a selector there is no group: the first word is what to do.
      const [groupName, given] = options.selector === undefined ? [first, second] : [undefined, first];
      if (options.selector !== undefined && second !== undefined) {
        throw new UsageError('give a group or a --selector, not both');
      }
      process.exitCode = await run(groupName, given, options);
    });
}

async function run(group: string | undefined, given: string | undefined, options: RunOptions): Promise<number> {
  const { selector, queue: queueIfOffline, timeout, ttl, failuresMax } = options;
  if (group === undefined && selector === undefined) throw new UsageError('for whom? give a group, or a --selector');
  const wanted: NewBulkRun = {
    group,
    selector,
    ...(await workOf(given, options)),
    queueIfOffline,
    timeoutSeconds: timeout === undefined ? undefined : parseDuration(timeout),
    ttlSeconds: ttl === undefined ? undefined : parseDuration(ttl),
    concurrency: parseNumber('--concurrency', options.concurrency, 1, BULK_LIMITS.concurrencyMax),
    failuresMax:
      failuresMax === undefined ? undefined : parseNumber('--failures-max', failuresMax, 0, BULK_LIMITS.targetsMax),
  };
  const client = await connect(options);
  const made = await client.bulkRuns.create(wanted, patience());
  const cancel = () => {
    process.stderr.write('\ncancelling the run (Ctrl-C again leaves it running) …\n');
    client.bulkRuns.cancel(made.id).catch((error: Error) => note(error.message, 'red'));
  };
  const json = options.json === true;
  return interruptible((signal) => followBulkRun(client, made, { json }, signal), cancel);
}

async function workOf(given: string | undefined, options: RunOptions) {
  const { operation, params, provider, file, mode, model } = options;
  if (operation !== undefined && provider !== undefined) {
    throw new UsageError('give --operation or --provider, not both');
  }
  if (operation !== undefined) {
    if (given !== undefined || file !== undefined) throw new UsageError('an operation takes --params, no instructions');
    return { operation, params: params === undefined ? undefined : parseParams(params) };
  }
  if (provider === undefined) throw new UsageError('what? give --provider with instructions, or --operation');
  if (params !== undefined) throw new UsageError('--params goes with --operation');
  return { provider, instructions: await readInstructions(given, file), mode, model };
}

function parseParams(text: string): Record<string, unknown> {
  try {
    return z.record(z.string(), z.unknown()).parse(JSON.parse(text));
  } catch (cause) {
    throw new UsageError('--params is a JSON object', { cause });
  }
}

function parseNumber(option: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw new UsageError(`${option} is ${min} to ${max}`);
}

const GROUP_COLUMNS: readonly Column<GroupView>[] = [
  { header: 'NAME', cell: ({ name }) => name, isWhole: true },
  { header: 'SELECTOR', cell: ({ selector }) => selector },
  { header: 'DESCRIPTION', cell: ({ description }) => description },
];

const AGENT_COLUMNS: readonly Column<AgentView>[] = [
  { header: 'NAME', cell: ({ name }) => name, isWhole: true },
  { header: 'STATUS', cell: ({ status }) => status, colour: ({ status }) => (status === 'online' ? 'green' : 'dim') },
  { header: 'LABELS', cell: ({ labels }) => labelText(labels) },
];

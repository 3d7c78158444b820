import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import type { Command } from 'commander';
import { connect } from '../access.ts';
import { parseDuration } from '../durations.ts';
import { UsageError } from '../exit-codes.ts';
import { printJson } from '../output.ts';
import { patience } from '../patience.ts';
import { interruptible, streamTask } from '../stream-task.ts';

interface RunOptions {
  readonly provider: string;
  readonly file?: string;
  readonly timeout?: string;
  readonly detach?: boolean;
  readonly queue?: boolean;
  readonly ttl?: string;
  readonly mode?: string;
  readonly model?: string;
  readonly json?: boolean;
}

export function addRun(program: Command): void {
  program
    .command('run')
    .summary('run a task on an agent and stream its output')
    .description('Runs a task on an agent, streams its output, and ends with its exit code.')
    .argument('<agent>', 'id or name')
    .argument('[instructions]', 'what to do, or - to read it from standard input')
    .requiredOption('-p, --provider <name>', 'who does it: shell, or what the agent has')
    .option('-f, --file <file>', 'read the instructions from a file')
    .option('--timeout <duration>', 'end the task after this time (90s, 30m, 2h; default 30m)')
    .option('--detach', 'print the id of the task and do not wait')
    .option('--queue', 'wait for an agent that is offline')
    .option('--ttl <duration>', 'how long to wait for it (default 24h)')
    .option('--mode <mode>', "the provider's mode")
    .option('--model <model>', "the provider's model")
    .option('--json', 'one JSON document per line')
    .addHelpText(
      'after',
      "\nExamples:\n  drawbridge run build-1 --provider shell 'uname -a'\n  drawbridge run build-1 --provider shell --file deploy.sh --timeout 1h",
    )
    .action(async (agent: string, instructions: string | undefined, options: RunOptions) => {
      process.exitCode = await run(agent, instructions, options);
    });
}

async function run(agent: string, given: string | undefined, options: RunOptions): Promise<number> {
  const client = await connect();
  const instructions = await readInstructions(given, options.file);
  const task = await client.createTask(
    {
      agent,
      provider: options.provider,
      instructions,
      mode: options.mode,
      model: options.model,
      timeoutSeconds: options.timeout === undefined ? undefined : parseDuration(options.timeout),
      queueIfOffline: options.queue,
      ttlSeconds: options.ttl === undefined ? undefined : parseDuration(options.ttl),
    },
    patience(),
  );
  const json = options.json === true;
  if (options.detach === true) {
    if (json) printJson(task);
    else process.stdout.write(`${task.id}\n`);
    return 0;
  }
  if (json) printJson({ type: 'task', task });
  const cancel = () => {
    process.stderr.write('\ncancelling the task (Ctrl-C again leaves it running) …\n');
    client.cancelTask(task.id).catch((error: Error) => process.stderr.write(`${error.message}\n`));
  };
  return interruptible((signal) => streamTask(client, task.id, { json }, signal), cancel);
}

async function readInstructions(given: string | undefined, file: string | undefined): Promise<string> {
  if (given !== undefined && file !== undefined) throw new UsageError('give instructions or --file, not both');
  if (file !== undefined) return readFile(file, 'utf8');
  if (given === '-') return text(process.stdin);
  if (given === undefined) throw new UsageError('no instructions: give a text, --file FILE, or - for standard input');
  return given;
}

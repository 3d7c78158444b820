import type { Command } from 'commander';
import { connect } from '../access.ts';
import type { AccessOptions } from '../access.ts';
import { describeCommand } from '../describe-command.ts';
import { parseDuration } from '../durations.ts';
import { readInstructions } from '../instructions.ts';
import { line, note, printJson } from '../output.ts';
import type { JsonOption } from '../output.ts';
import { patience } from '../patience.ts';
import { interruptible, streamTask } from '../stream-task.ts';

interface RunOptions extends JsonOption, AccessOptions {
  readonly provider: string;
  readonly file?: string;
  readonly timeout?: string;
  readonly detach?: boolean;
  readonly queue?: boolean;
  readonly ttl?: string;
  readonly mode?: string;
  readonly model?: string;
}

export function defineRun(command: Command): void {
  describeCommand(command, {
    does: 'Runs a task on an agent, streams its output, and ends with its exit code.',
    examples: [
      "run build-1 --provider shell 'uname -a'",
      'run build-1 --provider shell --file deploy.sh --timeout 1h',
      "echo 'df -h' | drawbridge run build-1 --provider shell -",
    ],
    json: 'lines',
  })
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
    .action(async (agent: string, instructions: string | undefined, options: RunOptions) => {
      process.exitCode = await run(agent, instructions, options);
    });
}

async function run(agent: string, given: string | undefined, options: RunOptions): Promise<number> {
  const client = await connect(options);
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
    else process.stdout.write(line(task.id));
    return 0;
  }
  if (json) printJson({ type: 'task', task });
  const cancel = () => {
    process.stderr.write('\ncancelling the task (Ctrl-C again leaves it running) …\n');
    client.cancelTask(task.id).catch((error: Error) => note(error.message, 'red'));
  };
  return interruptible((signal) => streamTask(client, task.id, { json }, signal), cancel);
}

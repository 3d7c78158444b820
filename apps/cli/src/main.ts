import { Command } from 'commander';
import { PROGRAM_VERSION } from '@drawbridge/runtime';
import { connect } from './access.ts';
import { addAgents } from './commands/agents.ts';
import { addJoinToken } from './commands/join-token.ts';
import { addRun } from './commands/run.ts';
import { addTasks } from './commands/tasks.ts';
import { addUp } from './commands/up.ts';
import { ExitCode, exitCodeOf } from './exit-codes.ts';
import { colour, plain } from './output.ts';
import { Interrupted } from './stream-task.ts';

const program = new Command('drawbridge')
  .description('Reach, run and watch machines that only dial out.')
  .version(PROGRAM_VERSION)
  .showHelpAfterError('(see --help)')
  .configureOutput({ outputError: (text, write) => write(text) });

addUp(program);
program
  .command('server')
  .summary('the control plane')
  .description('Runs the control plane: see "drawbridge server --help".');
program
  .command('agent')
  .summary('the daemon on a machine')
  .description('Runs the agent: see "drawbridge agent --help".');
addJoinToken(program);
addAgents(program);
addRun(program);
addTasks(program);
program
  .command('sign-in-link')
  .description('Prints a one-time link that signs a browser in.')
  .addHelpText('after', '\nExample:\n  drawbridge sign-in-link')
  .action(async () => {
    process.stdout.write(`${await (await connect()).createSignInLink()}\n`);
  });

// Whoever reads us may stop reading: that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(ExitCode.Ok);
  throw error;
});

usageErrorsExitWith(program);
try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

/** Commander's own mistakes of usage end with 2, like ours. */
function usageErrorsExitWith(command: Command): void {
  command.exitOverride((error) => process.exit(error.exitCode === 0 ? ExitCode.Ok : ExitCode.Usage));
  command.commands.forEach(usageErrorsExitWith);
}

function report(error: unknown): number {
  if (error instanceof Interrupted) return error.exitCode;
  const message = error instanceof Error ? error.message : 'unknown error';
  process.stderr.write(`${colour('red', 'error', process.stderr)}: ${plain(message)}\n`);
  return exitCodeOf(error);
}

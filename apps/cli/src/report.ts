import { CommanderError } from 'commander';
import { explain } from './explain.ts';
import { ExitCode, exitCodeOf } from './exit-codes.ts';
import { colour } from './output.ts';
import { usageErrorOf } from './usage.ts';

/**
 * Says what went wrong, once, on standard error: a line for people, or a JSON document with `--json`. Resolves to the exit code.
 */
export async function report(error: unknown, words: readonly string[]): Promise<number> {
  // A group without a subcommand: its help was printed.
  if (error instanceof CommanderError && error.code === 'commander.help') return ExitCode.Usage;
  const reason = error instanceof CommanderError ? await usageErrorOf(error, words) : error;
  const explanation = explain(reason, process.env);
  const forPeople = `${colour('red', 'error', process.stderr)}: ${explanation.message}`;
  process.stderr.write(`${wantsJson(words) ? JSON.stringify(explanation) : forPeople}\n`);
  return exitCodeOf(reason);
}

/** Also when the words could not be understood. What follows `--` is not ours. */
function wantsJson(words: readonly string[]): boolean {
  const end = words.indexOf('--');
  return words.slice(0, end === -1 ? undefined : end).includes('--json');
}

import type { Command, CommanderError } from 'commander';
import { UsageError } from './exit-codes.ts';
import { buildProgram, calledVerb } from './program.ts';
import { VERBS } from './verbs.ts';

/** A mistake in the calling, as one line: what is wrong, what was perhaps meant, and where it is explained. */
export async function usageErrorOf(error: CommanderError, words: readonly string[]): Promise<UsageError> {
  const [wrong = '', similar] = error.message
    .replace(/^error: /, '')
    .replace(/\.$/, '')
    .split(/\n\(Did you mean (.*)\?\)$/s);
  const meant = (await subcommandsCalled(error, words)) ?? similar?.replace(/^one of /, '');
  return new UsageError(`${wrong}${meant === undefined ? '' : `: did you mean ${meant}?`} (${helpFor(words)})`);
}

/** A word that is no verb may be a subcommand of some: `ls` alone, or `logs`. */
async function subcommandsCalled({ code }: CommanderError, words: readonly string[]): Promise<string | undefined> {
  const word = calledVerb(words);
  if (code !== 'commander.unknownCommand' || VERBS.some(({ name }) => name === word)) return undefined;
  const program = await buildProgram(words, true);
  const found = program.commands.flatMap((group) => pathsTo(group, word));
  return found.length === 0 ? undefined : found.join(', ');
}

function pathsTo(group: Command, word: string | undefined): string[] {
  return group.commands
    .filter((command) => command.name() === word)
    .map((command) => `${group.name()} ${command.name()}`);
}

function helpFor(words: readonly string[]): string {
  const verb = VERBS.find(({ name }) => name === calledVerb(words));
  return `see drawbridge ${verb === undefined ? '' : `${verb.name} `}--help`;
}

import { Command } from 'commander';
import { PROGRAM_VERSION } from '@drawbridge/runtime/version';
import { addExamples } from './describe-command.ts';
import { GOALS, VERBS } from './verbs.ts';

/**
 * The tree of commands. Only the verb that `words` call is filled in, the others are named: `every` fills in all. Mistakes in
 * the calling are thrown as CommanderError, and said by nobody but the caller.
 */
export async function buildProgram(words: readonly string[], every = false): Promise<Command> {
  const program = new Command('drawbridge')
    .description('Reach, run and watch machines that only dial out.')
    .usage('[options] <command>')
    .version(PROGRAM_VERSION, '-V, --version', 'print the version')
    .option('--context <context>', 'ask this control plane (see "drawbridge context ls")')
    .configureHelp({ subcommandTerm })
    .enablePositionalOptions();
  addExamples(program, ["run build-1 --provider shell 'uname -a'", 'agents ls --help']);
  const called = calledVerb(words);
  for (const { name, goal, summary, load } of VERBS) {
    const command = program.command(name).summary(summary).helpGroup(GOALS[goal]);
    if (every || name === called) (await load())(command);
  }
  program.hook('preAction', passContextOn);
  letErrorsFly(program);
  return program;
}

/** The verb that `words` call: the first word that is neither an option nor an option's value. */
export function calledVerb(words: readonly string[]): string | undefined {
  return words.find((word, index) => !word.startsWith('-') && words[index - 1] !== '--context');
}

/** Verbs by their names alone, so that the overview is the same whichever was read; subcommands with what they take. */
function subcommandTerm(command: Command): string {
  if (command.parent?.parent === null) return command.name();
  const taken = command.registeredArguments.map((argument) => {
    const name = argument.variadic ? `${argument.name()}…` : argument.name();
    return argument.required ? `<${name}>` : `[${name}]`;
  });
  return [command.name(), ...taken].join(' ');
}

/** `drawbridge --context lab agents ls` is `drawbridge agents ls --context lab`. */
function passContextOn(program: Command, action: Command): void {
  const { context } = program.opts<{ context?: string }>();
  if (context !== undefined && action.getOptionValue('context') === undefined)
    action.setOptionValue('context', context);
}

function letErrorsFly(command: Command): void {
  command.exitOverride();
  command.configureOutput({ outputError: () => undefined });
  command.helpOption('-h, --help', 'explain this command').helpCommand(false);
  command.commands.forEach(letErrorsFly);
}

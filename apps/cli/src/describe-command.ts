import type { Command } from 'commander';

/** What every command says of itself. */
export interface About {
  /** A sentence. */
  readonly does: string;
  /** As they are typed, without `drawbridge `. */
  readonly examples: readonly string[];
  /** `document`: one; `lines`: one a line. `none` where an answer as JSON makes no sense. */
  readonly json: 'document' | 'lines' | 'none';
  /** False for a command that asks no control plane, and so takes no `--context`. */
  readonly isRemote?: boolean;
}

const JSON_OPTION = { document: 'answer as JSON', lines: 'one JSON document per line' } as const;

/** Gives `command` its description, its examples and the options that commands have in common. */
export function describeCommand(command: Command, { does, examples, json, isRemote = true }: About): Command {
  command.description(does);
  if (json !== 'none') command.option('--json', JSON_OPTION[json]);
  if (isRemote) command.option('--context <context>', 'ask this control plane (see "drawbridge context ls")');
  return addExamples(command, examples);
}

/** The Example section at the end of a command's help. */
export function addExamples(command: Command, examples: readonly string[]): Command {
  const lines = examples.map((example) => `  ${example.includes('drawbridge ') ? example : `drawbridge ${example}`}`);
  return command.addHelpText('after', `\n${lines.length === 1 ? 'Example' : 'Examples'}:\n${lines.join('\n')}`);
}

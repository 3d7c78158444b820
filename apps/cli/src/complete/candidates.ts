import type { Argument, Command, Option } from 'commander';

/** One thing that could be typed, and what it is. */
export interface Candidate {
  readonly word: string;
  readonly about: string;
}

/** What is to be completed by things that are known only at the moment of asking: agents, tasks, contexts. */
export interface Question {
  /** What the help calls it: `agent`, `task`. */
  readonly name: string;
  readonly typed: string;
  /** The control plane that `--context` names. */
  readonly context: string | undefined;
}

export type DynamicSource = (question: Question) => Promise<readonly Candidate[]>;

/** The shell's own: names of files. */
export const FILES = ':files';

/**
 * What may stand in place of the last of `words`, which may be empty. An argument or an option's value is completed by its name in
 * the help: `<agent>` by agents, `<file>` by files, and so on.
 */
export async function candidatesFor(
  program: Command,
  words: readonly string[],
  dynamic: DynamicSource,
): Promise<readonly Candidate[] | typeof FILES> {
  const typed = words.at(-1) ?? '';
  const { command, positionals, pending, isLiteral } = walk(program, words.slice(0, -1));
  const context = contextOf(words);
  if (pending !== undefined) return valuesOf(pending, typed, dynamic, context);
  if (!isLiteral && typed.startsWith('-'))
    return startingWith(typed, command.createHelp().visibleOptions(command).map(optionCandidate));
  const commands = positionals === 0 ? command.createHelp().visibleCommands(command).map(commandCandidate) : [];
  if (commands.length > 0) return startingWith(typed, commands);
  const argument = command.registeredArguments[positionals] ?? variadicOf(command);
  return argument === undefined ? [] : valuesOf(argument, typed, dynamic, context);
}

interface Place {
  readonly command: Command;
  /** How many arguments of the command are there already. */
  readonly positionals: number;
  /** An option that waits for its value. */
  readonly pending: Option | undefined;
  /** After `--`: nothing is an option any more. */
  readonly isLiteral: boolean;
}

/** Follows the words into the tree, as the parser would. */
function walk(program: Command, words: readonly string[]): Place {
  let place: Place = { command: program, positionals: 0, pending: undefined, isLiteral: false };
  for (const word of words) place = step(place, word);
  return place;
}

function step(place: Place, word: string): Place {
  if (place.pending !== undefined) return { ...place, pending: undefined };
  if (place.isLiteral) return { ...place, positionals: place.positionals + 1 };
  if (word === '--') return { ...place, isLiteral: true };
  if (word.startsWith('-') && word !== '-') {
    const option = place.command.options.find(({ long, short }) => long === word || short === word);
    return { ...place, pending: option?.required === true ? option : undefined };
  }
  const inner = place.positionals === 0 ? place.command.commands.find((one) => one.name() === word) : undefined;
  return inner === undefined ? { ...place, positionals: place.positionals + 1 } : { ...place, command: inner };
}

async function valuesOf(
  wanted: Argument | Option,
  typed: string,
  dynamic: DynamicSource,
  context: string | undefined,
): Promise<readonly Candidate[] | typeof FILES> {
  if (wanted.argChoices !== undefined) {
    return startingWith(
      typed,
      wanted.argChoices.map((word) => ({ word, about: '' })),
    );
  }
  const name = 'flags' in wanted ? (/<([^>.]+)/.exec(wanted.flags)?.[1] ?? '') : wanted.name();
  if (['file', 'dir'].includes(name)) return FILES;
  return startingWith(typed, await dynamic({ name, typed, context }));
}

/** `--context NAME` among the words: agents are those of that control plane. */
function contextOf(words: readonly string[]): string | undefined {
  const index = words.indexOf('--context');
  return index === -1 || index >= words.length - 2 ? undefined : words[index + 1];
}

function variadicOf(command: Command): Argument | undefined {
  const last = command.registeredArguments.at(-1);
  return last?.variadic === true ? last : undefined;
}

function startingWith(typed: string, candidates: readonly Candidate[]): readonly Candidate[] {
  return candidates.filter(({ word }) => word.startsWith(typed));
}

function optionCandidate(option: Option): Candidate {
  return { word: option.long ?? option.short ?? '', about: option.description };
}

function commandCandidate(command: Command): Candidate {
  return { word: command.name(), about: command.summary() || command.description() };
}

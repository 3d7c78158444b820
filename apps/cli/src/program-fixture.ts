import type { Command } from 'commander';

/** Every command below `parent` that does something, with the words that call it. */
export function leavesOf(parent: Command, path: readonly string[] = []): { words: string[]; command: Command }[] {
  return parent.commands.flatMap((command) => {
    const words = [...path, command.name()];
    return command.commands.length === 0 ? [{ words, command }] : leavesOf(command, words);
  });
}

/** The examples at the end of a command's help, each as it is typed. */
export function examplesOf(command: Command): string[] {
  let help = '';
  command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
  const section = /\nExamples?:\n([\s\S]*)$/.exec(help)?.[1] ?? '';
  return section.split('\n').flatMap((line) => (line.startsWith('  ') ? [line.trim()] : []));
}

/** The words of the one `drawbridge …` in an example: quotes hold a word together, pipes and redirections end it. */
export function wordsOf(example: string): string[] {
  const line = /(?:^|[|(]\s*)drawbridge ([^|]*)/.exec(example)?.[1] ?? '';
  const words = [...line.matchAll(/'([^']*)'|"([^"]*)"|([^\s'")]+)/g)].map(
    ([, single, double, bare]) => single ?? double ?? bare ?? '',
  );
  const end = words.indexOf('>');
  return end === -1 ? words : words.slice(0, end);
}

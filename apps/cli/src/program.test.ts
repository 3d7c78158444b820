import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { examplesOf, leavesOf, wordsOf } from './program-fixture.ts';
import { buildProgram, calledVerb } from './program.ts';

/** Programs of their own: the launcher starts them, the tree only names them. */
const OTHER_PROGRAMS = ['server', 'agent'];

/** Commands without an answer that a program could read, and why. */
const WITHOUT_JSON: Readonly<Record<string, string>> = {
  up: 'it runs until it is stopped',
  completion: 'it prints a script',
  'audit export': 'it writes NDJSON already',
  shell: 'it is a terminal',
  ssh: 'it is a terminal',
  'proxy-connect': 'it carries bytes',
};

const program = await buildProgram([], true);
const leaves = leavesOf(program).filter(({ words }) => !OTHER_PROGRAMS.includes(words[0] ?? ''));
const table = leaves.map(({ words, command }) => ({ name: words.join(' '), command }));
const examples = leaves.flatMap(({ words, command }) => examplesOf(command).map((example) => ({ words, example })));

it('finds the commands it is about', () => {
  expect(table.map(({ name }) => name)).toEqual(expect.arrayContaining(['run', 'agents ls', 'context rm', 'login']));
});

describe('every command', () => {
  it.each(table)('$name says in a sentence what it does', ({ command }) => {
    expect(command.description()).toMatch(/^[A-Z].*\.$/);
  });

  it.each(table)('$name has an example', ({ command }) => {
    expect(examplesOf(command)).not.toEqual([]);
  });

  it.each(table)('$name explains each of its options and arguments', ({ command }) => {
    const parts = [...command.options, ...command.registeredArguments];
    expect(parts.filter(({ description }) => description === '')).toEqual([]);
  });

  it.each(leaves.map(({ words }) => ({ words, name: words.join(' ') })))(
    '$name refuses an option it does not have',
    async ({ words }) => {
      await expect(parse([...words, '--no-such-option'])).rejects.toMatchObject({
        name: 'CommanderError',
        exitCode: 1,
      });
    },
  );

  it.each(table)('$name answers as JSON, unless there is a reason', ({ name, command }) => {
    const hasJson = command.options.some(({ long }) => long === '--json');
    expect(hasJson).toBe(!Object.hasOwn(WITHOUT_JSON, name));
  });

  it.each(program.commands.map((command) => ({ name: command.name(), command })))(
    '$name is in the overview with a few words',
    ({ command }) => {
      expect(command.summary()).toMatch(/^[a-z].{5,60}[^.]$/);
    },
  );
});

describe('every example', () => {
  it.each(examples)('is understood: $example', async ({ words, example }) => {
    expect(await called(wordsOf(example))).toBe(words.join(' '));
  });

  it('is told from one that is not understood', async () => {
    await expect(called(wordsOf('drawbridge agents ls --no-such'))).rejects.toThrow('unknown option');
    await expect(called(wordsOf("drawbridge run build-1 'no provider'"))).rejects.toThrow('required option');
    await expect(called(wordsOf('drawbridge agents rename build-1'))).rejects.toThrow('missing required argument');
    await expect(called(wordsOf('drawbridge agents ls too much'))).rejects.toThrow('too many arguments');
  });
});

describe('the overview', () => {
  it('fits a small screen', () => {
    const lines = program.helpInformation().split('\n');
    expect(lines.length).toBeLessThan(45);
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
  });

  it('is the same when no verb was read', async () => {
    expect((await buildProgram([])).helpInformation()).toBe(program.helpInformation());
  });
});

describe('only the verb that is called', () => {
  it.each([
    [['agents', 'ls'], 'agents'],
    [['--context', 'lab', 'agents', 'ls'], 'agents'],
    [['--help'], undefined],
    [[], undefined],
  ])('is found in %j', (words, verb) => {
    expect(calledVerb(words)).toBe(verb);
  });

  it('is read', async () => {
    const some = await buildProgram(['agents', 'ls']);
    const filled = some.commands.filter(({ commands, options }) => commands.length + options.length > 0);
    expect(filled.map((command) => command.name())).toEqual(['agents']);
  });
});

it.each([
  [['--context', 'lab', 'agents', 'ls'], 'lab'],
  [['agents', 'ls', '--context', 'lab'], 'lab'],
  [['--context', 'prod', 'agents', 'ls', '--context', 'lab'], 'lab'],
  [['agents', 'ls'], undefined],
])('takes --context before the verb or behind it: %j', async (words, context) => {
  expect((await optionsOf(words))['context']).toBe(context);
});

/** The command that `words` call, which is not carried out. */
async function called(words: readonly string[]): Promise<string> {
  return (await parse(words)).words.join(' ');
}

async function optionsOf(words: readonly string[]): Promise<Record<string, unknown>> {
  return (await parse(words)).command.opts();
}

async function parse(words: readonly string[]): Promise<{ words: string[]; command: Command }> {
  const fresh = await buildProgram(words, true);
  let found: { words: string[]; command: Command } | undefined;
  for (const leaf of leavesOf(fresh)) leaf.command.action(() => void (found = leaf));
  await fresh.parseAsync(words, { from: 'user' });
  if (found === undefined) throw new Error(`nothing was called by ${words.join(' ')}`);
  return found;
}

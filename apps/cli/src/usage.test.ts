import { CommanderError } from 'commander';
import { expect, it } from 'vitest';
import { buildProgram } from './program.ts';
import { usageErrorOf } from './usage.ts';

it.each([
  [['agnts', 'ls'], "unknown command 'agnts': did you mean agents? (see drawbridge --help)"],
  [['agents', 'lst'], "unknown command 'lst': did you mean ls? (see drawbridge agents --help)"],
  [
    ['agents', 'ls', '--selecter', 'x'],
    "unknown option '--selecter': did you mean --selector? (see drawbridge agents --help)",
  ],
  [['logs'], "unknown command 'logs': did you mean tasks logs? (see drawbridge --help)"],
  [['rename', 'a', 'b'], "unknown command 'rename': did you mean agents rename? (see drawbridge --help)"],
  [['enroll'], "unknown command 'enroll': did you mean agent enroll? (see drawbridge --help)"],
  [['zzzzz'], "unknown command 'zzzzz' (see drawbridge --help)"],
  [['agents', 'show'], "missing required argument 'agent' (see drawbridge agents --help)"],
  [['agents', 'ls', '--status', 'x'], /Allowed choices are online, offline \(see drawbridge agents --help\)$/],
])('says of %j in one line what is wrong and where it is explained', async (words, message) => {
  const error = await (await buildProgram(words)).parseAsync(words, { from: 'user' }).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(CommanderError);
  const usage = await usageErrorOf(error as CommanderError, words);
  expect(usage.message).toMatch(message);
  expect(usage.message).not.toContain('\n');
});

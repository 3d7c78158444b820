import { expect, it } from 'vitest';
import { buildProgram } from '../program.ts';
import { candidatesFor } from './candidates.ts';
import type { DynamicSource } from './candidates.ts';

const program = await buildProgram([], true);

/** Names what it was asked for. */
const dynamic: DynamicSource = ({ name, context }) =>
  Promise.resolve([{ word: context === undefined ? `a-${name}` : `a-${name}-of-${context}`, about: '' }]);

/** The candidates for the last word of a line. */
async function candidates(line: string): Promise<string | readonly string[]> {
  const found = await candidatesFor(program, line.split(' '), dynamic);
  return typeof found === 'string' ? found : found.map(({ word }) => word);
}

it.each([
  ['ag', ['agent', 'agents']],
  ['context ', ['ls', 'use', 'rm']],
  ['agents ren', ['rename']],
  ['agent e', ['enroll']],
  ['agents ls --s', ['--selector', '--status']],
  ['agents ls --status o', ['online', 'offline']],
  ['agents ls --status online --se', ['--selector']],
  ['agents ls -l ', ['a-selector']],
  ['agents ls --json ', []],
  ['agents show ', ['a-agent']],
  ['agents show a', ['a-agent']],
  ['agents show x', []],
  ['agents show build-1 ', []],
  ['agents rename build-1 ', ['a-name']],
  ['agents show --context lab ', ['a-agent-of-lab']],
  ['--context lab agents show ', ['a-agent-of-lab']],
  ['agents show --context ', ['a-context']],
  ['--context ', ['a-context']],
  ['tasks ls --agent ', ['a-agent']],
  ['tasks ls --state r', ['running']],
  ['tasks logs -f ', ['a-task']],
  ['context use ', ['a-context']],
  ['join-token rm ', ['a-join-token']],
  ['users set ', ['a-user']],
  ['users create ann --role ', ['a-role']],
  ['roles show ', ['a-role']],
  ['roles create pilot --verb task.run --verb ', ['a-verb']],
  ['tokens rm ', ['a-token']],
  ['logout --session ', ['a-sign-in']],
  ['completion ', ['bash', 'zsh', 'fish']],
  ['run build-1 --file ', ':files'],
  ['run -- --', []],
  ['nonsense ', []],
])('completes %j', async (line, expected) => {
  expect(await candidates(line)).toEqual(expected);
});

it('offers every verb to an empty line, with what it is for', async () => {
  const found = await candidatesFor(program, [''], dynamic);
  expect(found).toContainEqual({ word: 'agents', about: 'list, show, rename, label and revoke agents' });
});

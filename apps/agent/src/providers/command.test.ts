import { expect, it } from 'vitest';
import { CommandProvider } from './command.ts';
import type { ProviderTask } from './provider.ts';

const task: ProviderTask = {
  instructions: 'x',
  taskFile: '/tasks/$(id) 1/TASK.md',
  workDir: '/work dir',
  resultFile: '/result.md',
  mode: 'plan',
  model: 'large-1.5',
};

function provider(...args: string[]): CommandProvider {
  return new CommandProvider('mine', [], { kind: 'command', binary: '/bin/sh', args });
}

it('puts the values of a task in place, each inside its own argument', async () => {
  const mine = provider('--file', '{task_file}', '--dir={work_dir}', '{mode}:{model}', '{}', '{"json":1}');
  expect((await mine.command(task)).argv).toEqual([
    '/bin/sh',
    '--file',
    '/tasks/$(id) 1/TASK.md',
    '--dir=/work dir',
    'plan:large-1.5',
    '{}',
    '{"json":1}',
  ]);
});

it('lets a program that is told the result file write it, and takes what any other prints', async () => {
  const plain = { ...task, mode: undefined, model: undefined };
  expect((await provider('-o', '{result_file}').command(plain)).result).toBe('file');
  expect((await provider('{task_file}').command(plain)).result).toBe('stdout');
});

it('does not read a value as a pattern of replacement', async () => {
  const strange = { ...task, mode: undefined, model: undefined, taskFile: "$& $' {model}" };
  expect((await provider('{task_file}').command(strange)).argv).toEqual(['/bin/sh', "$& $' {model}"]);
});

it.each([
  ['--dangerous', 'invalid_request'],
  ['a b', 'invalid_request'],
  ['', 'invalid_request'],
  ['x\n', 'invalid_request'],
  [undefined, 'invalid_request'],
])('refuses the model %j', async (model, code) => {
  await expect(provider('{model}').command({ ...task, mode: undefined, model })).rejects.toMatchObject({ code });
});

it('refuses a mode that its arguments have no place for', async () => {
  await expect(provider('{model}').command(task)).rejects.toMatchObject({ code: 'unsupported' });
});

it('refuses settings with an unknown placeholder, or without a program', () => {
  expect(() => provider('{prompt}')).toThrow('provider mine: {prompt} in "{prompt}" is unknown');
  expect(() => provider('{to_string}')).toThrow('unknown');
  expect(() => new CommandProvider('mine', [], { kind: 'command' })).toThrow('provider mine names no binary');
});

it('is unavailable, with the reason, when its program has gone', async () => {
  const gone = new CommandProvider('mine', [], { kind: 'command', binary: '/no/program' });
  expect(await gone.probe()).toEqual({ available: false, reason: '/no/program is missing or not executable' });
  await expect(gone.command({ ...task, mode: undefined, model: undefined })).rejects.toMatchObject({
    code: 'provider_unavailable',
  });
});

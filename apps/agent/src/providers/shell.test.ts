import { expect, it } from 'vitest';
import type { ProviderTask } from './provider.ts';
import { parseShebang, ShellProvider } from './shell.ts';

const task: ProviderTask = {
  instructions: 'echo hello',
  taskFile: '/tasks/1/input/TASK.md',
  workDir: '/tasks/1/work',
  resultFile: '/tasks/1/output/result.md',
  mode: undefined,
  model: undefined,
};

it('lets the shell of the settings read the task', async () => {
  const standard = new ShellProvider('shell', [], { kind: 'shell' });
  expect((await standard.command(task)).argv).toEqual(['/bin/sh', task.taskFile]);
  const strict = new ShellProvider('shell', [], { kind: 'shell', binary: '/bin/sh', args: ['-eu'], env: ['KEY'] });
  expect(await strict.command(task)).toEqual({
    argv: ['/bin/sh', '-eu', task.taskFile],
    envNames: ['KEY'],
    result: 'stdout',
  });
});

it('lets the interpreter of a #! line read the task instead', async () => {
  const shell = new ShellProvider('shell', [], { kind: 'shell' });
  const script = { ...task, instructions: '#!/usr/bin/env python3\nprint(1)\n' };
  expect((await shell.command(script)).argv).toEqual(['/usr/bin/env', 'python3', task.taskFile]);
});

it.each([
  ['#!/bin/bash', ['/bin/bash']],
  ['#! /bin/bash  -e -u \r\necho', ['/bin/bash', '-e -u']],
  ['#!/usr/bin/env -S node --flag\n', ['/usr/bin/env', '-S node --flag']],
  ['echo\n#!/bin/bash', undefined],
  [' #!/bin/bash', undefined],
])('reads %j as the kernel would', (script, expected) => {
  expect(parseShebang(script)).toEqual(expected);
});

it.each(['#!', '#!bash', '#!./bash'])('refuses %j: an interpreter is an absolute path', (script) => {
  expect(() => parseShebang(script)).toThrow('an interpreter is named by its absolute path');
});

it.each(['mode', 'model'] as const)('refuses a %s rather than ignoring it', async (choice) => {
  const shell = new ShellProvider('shell', [], { kind: 'shell' });
  await expect(shell.command({ ...task, [choice]: 'x' })).rejects.toMatchObject({ code: 'unsupported' });
});

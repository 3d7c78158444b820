import { isAbsolute } from 'node:path';
import { ControlError } from '@drawbridge/protocol';
import { findBinary, probeBinary } from './find-binary.ts';
import type { Provider, ProviderCommand, ProviderProbe, ProviderSettings, ProviderTask } from './provider.ts';

const DEFAULT_SHELL = '/bin/sh';

/**
 * TASK.md is a script. Without a `#!` line the configured shell reads it. With one, its interpreter does, under the rules
 * of the Linux kernel: an absolute path, and everything after it is one argument (`#!/usr/bin/env -S node --flag` works).
 * The agent reads that line itself, so the file needs no execute permission and its file system may be `noexec`.
 */
export class ShellProvider implements Provider {
  readonly name: string;
  readonly actions: readonly string[];
  readonly #shell: string;
  readonly #args: readonly string[];
  readonly #envNames: readonly string[];

  constructor(name: string, actions: readonly string[], settings: ProviderSettings) {
    this.name = name;
    this.actions = actions;
    this.#shell = settings.binary ?? DEFAULT_SHELL;
    this.#args = settings.args ?? [];
    this.#envNames = settings.env ?? [];
  }

  probe(): Promise<ProviderProbe> {
    return probeBinary(this.#shell);
  }

  async command(task: ProviderTask): Promise<ProviderCommand> {
    for (const choice of ['mode', 'model'] as const) {
      // Taken in silence, it would promise what a script does not keep.
      if (task[choice] !== undefined) throw new ControlError('unsupported', `provider ${this.name} has no ${choice}`);
    }
    const interpreter = parseShebang(task.instructions) ?? [await findBinary(this.#shell), ...this.#args];
    return { argv: [...interpreter, task.taskFile], envNames: this.#envNames, result: 'stdout' };
  }
}

/** The interpreter a script asks for, and its one argument; undefined without a `#!` line. */
export function parseShebang(script: string): [string, ...string[]] | undefined {
  const [, line] = /^#!(.*)/.exec(script) ?? [];
  if (line === undefined) return undefined;
  const [, interpreter, argument] = /^(\S+)(?:\s+(.*))?$/.exec(line.trim()) ?? [];
  if (interpreter === undefined || !isAbsolute(interpreter)) {
    throw new ControlError('spawn_failed', `#!${line}: an interpreter is named by its absolute path`);
  }
  return argument === undefined ? [interpreter] : [interpreter, argument];
}

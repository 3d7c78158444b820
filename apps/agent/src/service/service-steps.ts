import { chmod, mkdir, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ControlError } from '@drawbridge/protocol';
import { writeFileAtomic } from '@drawbridge/runtime';
import type { Argv, ServiceHost } from './service-host.ts';

/** One thing that installing or removing a service does. */
export type ServiceStep =
  | { readonly is: 'write'; readonly path: string; readonly text: string }
  | { readonly is: 'remove'; readonly path: string }
  /** `mayFail`: it only makes sure of something that may be so already. */
  | { readonly is: 'run'; readonly argv: Argv; readonly mayFail?: boolean; readonly timeoutMs?: number };

/** A service manager that answers at all answers within this time. */
const RUN_TIMEOUT_MS = 60_000;

/** Everybody may read a unit: there is no secret in it. */
const FILE_MODE = 0o644;

/** Carries the steps out, one after the other. Throws ControlError `process_failed` with what the failing program said. */
export async function carryOut(steps: readonly ServiceStep[], host: ServiceHost): Promise<void> {
  for (const step of steps) await carryOutOne(step, host);
}

/** A step as a shell would have it, but for the text of a file. */
export function describeStep(step: ServiceStep): string {
  if (step.is === 'run') return step.argv.map(quoteForShell).join(' ');
  return `${step.is} ${step.path}`;
}

async function carryOutOne(step: ServiceStep, host: ServiceHost): Promise<void> {
  switch (step.is) {
    case 'write':
      await mkdir(dirname(step.path), { recursive: true });
      await writeFileAtomic(step.path, step.text);
      return await chmod(step.path, FILE_MODE);
    case 'remove':
      return await rm(step.path, { force: true });
    case 'run': {
      const { code, stderr } = await host.run(step.argv, step.timeoutMs ?? RUN_TIMEOUT_MS);
      if (code === 0 || step.mayFail === true) return;
      throw new ControlError('process_failed', `${describeStep(step)}: ended with ${code}: ${stderr.trim()}`);
    }
  }
}

function quoteForShell(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

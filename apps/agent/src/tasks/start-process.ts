import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { ControlError } from '@drawbridge/protocol';
import type { OutputPipes } from './output-pipes.ts';
import type { PipePool } from './pipe-pool.ts';
import type { ProcessIdentity, ProcessTable } from './process-table.ts';

/** How a process ended: exactly one of both. */
export interface ProcessExit {
  readonly code: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
}

/** A process that has started. */
export interface StartedProcess {
  /** Undefined when the process was gone before anyone could look. */
  readonly identity: ProcessIdentity | undefined;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly exited: Promise<ProcessExit>;
}

/** What to start, and where. */
export interface StartProcessOptions {
  readonly argv: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly pipes: PipePool;
  readonly table: ProcessTable;
}

/** Starts a program directly, without a shell, as the leader of a session of its own, with nothing on its stdin. */
export async function startProcess(options: StartProcessOptions): Promise<StartedProcess> {
  const pipes = await options.pipes.take();
  try {
    const child = spawnWith(options, pipes);
    const exited = exitOf(child);
    // Before anything else: the child may exit at any moment, and then its number tells nothing.
    const identity = child.pid === undefined ? undefined : options.table.identify(child.pid);
    await spawned(child, options.argv[0]);
    return { identity: await identity, ...pipes.read(), exited };
  } catch (error) {
    pipes.destroyReaders();
    throw error;
  } finally {
    pipes.closeWriters();
  }
}

function spawnWith({ argv: [program, ...args], env, cwd }: StartProcessOptions, pipes: OutputPipes): ChildProcess {
  try {
    return spawn(program, args, { cwd, env, stdio: pipes.stdio, detached: true, shell: false });
  } catch (error) {
    throw spawnFailed(program, error);
  }
}

async function spawned(child: ChildProcess, program: string): Promise<void> {
  try {
    await once(child, 'spawn');
  } catch (error) {
    throw spawnFailed(program, error);
  }
}

function spawnFailed(program: string, error: unknown): ControlError {
  const reason = error instanceof Error ? error.message : String(error);
  return new ControlError('spawn_failed', `cannot start ${program}: ${reason}`, { cause: error });
}

function exitOf(child: ChildProcess): Promise<ProcessExit> {
  return new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve({ code: code ?? undefined, signal: signal ?? undefined }));
  });
}

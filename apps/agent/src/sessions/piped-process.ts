import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { ControlError } from '@drawbridge/protocol';
import { AGENT_LIMITS } from '../limits.ts';
import type { PipePool } from '../tasks/pipe-pool.ts';
import { signalGroup } from './session-process.ts';
import type { SessionExit, SessionProcess, SessionProcessOptions } from './session-process.ts';
import { writeInput } from './write-input.ts';

/** Starts a program with its three streams apart. Throws ControlError `spawn_failed`, or `disk_full`. */
export async function startPiped(options: SessionProcessOptions, pool: PipePool): Promise<SessionProcess> {
  const { argv, cwd, env, clock, onOutput } = options;
  const [program, ...args] = argv;
  const pipes = await pool.take();
  const [, stdout, stderr] = pipes.stdio;
  const child = spawn(program, args, { cwd, env, stdio: ['pipe', stdout, stderr], detached: true });
  const exited = new Promise<SessionExit>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code: code ?? undefined, signal: signal ?? undefined }));
  });
  try {
    await once(child, 'spawn');
  } catch (error) {
    pipes.destroyReaders();
    const reason = error instanceof Error ? error.message : String(error);
    throw new ControlError('spawn_failed', `cannot start ${program}: ${reason}`, { cause: error });
  } finally {
    pipes.closeWriters();
  }
  const { pid, stdin } = child;
  if (pid === undefined || stdin === null) throw new Error('a process without a number');
  // EPIPE: it reads no more, and its exit tells the rest.
  stdin.on('error', () => undefined);
  const readers = Object.values(pipes.read());
  for (const [index, reader] of readers.entries()) {
    reader.on('data', (bytes: Uint8Array) => onOutput(bytes, index === 1));
    reader.on('error', () => undefined);
  }
  let isDraining = false;
  const closed = Promise.all(readers.map((reader) => once(reader, 'close')));
  return {
    pid,
    exited: exited.then(async (exit) => {
      isDraining = true;
      for (const reader of readers) reader.resume();
      // A child in the background may hold them open for ever; what is merely late gets its chance.
      const late = clock.after(AGENT_LIMITS.pipeDrainMs, () => readers.forEach((reader) => reader.destroy()));
      await closed.catch(() => undefined);
      late.cancel();
      stdin.destroy();
      return exit;
    }),
    write: (bytes) => writeInput(stdin, bytes),
    endInput: () => void stdin.end(),
    hangUp() {
      stdin.destroy();
      readers.forEach((reader) => reader.destroy());
    },
    resize: () => undefined,
    signal: (name) => signalGroup(pid, name),
    // What is left after the exit has to be read now.
    pause: () => readers.forEach((reader) => isDraining || reader.pause()),
    resume: () => readers.forEach((reader) => reader.resume()),
  };
}

import { execFile } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { Socket } from 'node:net';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { ControlError } from '@drawbridge/protocol';
import { AGENT_LIMITS } from '../limits.ts';

const run = promisify(execFile);

/** One pipe: a child gets the writing end, the agent reads. */
interface OutputPipe {
  readonly reader: Readable;
  readonly writerFd: number;
}

/**
 * The pipes of a child's stdout and stderr. Node's own "pipes" are sockets, which a script cannot open again by name:
 * `echo … >/dev/stderr` would fail in every task. So these are FIFOs, made by the system's mkfifo, and unlinked as soon
 * as both ends are open.
 */
export class OutputPipes {
  readonly #stdout: OutputPipe;
  readonly #stderr: OutputPipe;

  private constructor(stdout: OutputPipe, stderr: OutputPipe) {
    this.#stdout = stdout;
    this.#stderr = stderr;
  }

  /** Makes both pipes, with their names in `dir` for a moment. */
  static async open(dir: string): Promise<OutputPipes> {
    const paths = { stdout: join(dir, '.stdout'), stderr: join(dir, '.stderr') };
    await makeFifos(Object.values(paths));
    try {
      const stdout = openPipe(paths.stdout);
      try {
        return new OutputPipes(stdout, openPipe(paths.stderr));
      } catch (error) {
        stdout.reader.destroy();
        closeSync(stdout.writerFd);
        throw error;
      }
    } finally {
      for (const path of Object.values(paths)) await rm(path, { force: true });
    }
  }

  /** For `stdio` of a child: nothing to read, and the writing ends. */
  get stdio(): ['ignore', number, number] {
    return ['ignore', this.#stdout.writerFd, this.#stderr.writerFd];
  }

  get stdout(): Readable {
    return this.#stdout.reader;
  }

  get stderr(): Readable {
    return this.#stderr.reader;
  }

  /** The child has its ends now: with the agent's own closed, the streams end when the last process of the task is gone. */
  closeWriters(): void {
    closeSync(this.#stdout.writerFd);
    closeSync(this.#stderr.writerFd);
  }

  /** Nobody will read. */
  destroy(): void {
    this.stdout.destroy();
    this.stderr.destroy();
  }
}

async function makeFifos(paths: readonly string[]): Promise<void> {
  try {
    await run('mkfifo', ['-m', '600', ...paths], {
      env: { PATH: process.env['PATH'], LC_ALL: 'C' },
      timeout: AGENT_LIMITS.helperTimeoutMs,
    });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const code = /No space left|quota exceeded/i.test(message) ? 'disk_full' : 'spawn_failed';
    throw new ControlError(code, `cannot make the pipes of the task: ${message.trim()}`, { cause: error });
  }
}

function openPipe(path: string): OutputPipe {
  // In this order, and without waiting: a FIFO opened to be read waits for its writer otherwise.
  const readerFd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const reader = new Socket({ fd: readerFd, readable: true, writable: false });
  try {
    return { reader, writerFd: openSync(path, constants.O_WRONLY) };
  } catch (error) {
    reader.destroy();
    throw error;
  }
}

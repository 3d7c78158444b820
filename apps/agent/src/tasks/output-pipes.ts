import { closeSync, constants, openSync, unlinkSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';

/** Both ends of one FIFO; nobody reads yet. */
interface PipeEnds {
  readonly readerFd: number;
  readonly writerFd: number;
}

/**
 * The pipes of a child's stdout and stderr. Node's own "pipes" are sockets, which a script cannot open again by name:
 * `echo … >/dev/stderr` would fail in every task. So these are FIFOs, unlinked as soon as both ends are open.
 */
export class OutputPipes {
  readonly #ends: { readonly stdout: PipeEnds; readonly stderr: PipeEnds };
  #readers: { readonly stdout: Readable; readonly stderr: Readable } | undefined;

  private constructor(stdout: PipeEnds, stderr: PipeEnds) {
    this.#ends = { stdout, stderr };
  }

  /** Opens two FIFOs that lie at these paths, and takes their names away. */
  static open(paths: { readonly stdout: string; readonly stderr: string }): OutputPipes {
    const stdout = openEnds(paths.stdout);
    try {
      return new OutputPipes(stdout, openEnds(paths.stderr));
    } catch (error) {
      closeEnds(stdout);
      throw error;
    }
  }

  /** For `stdio` of a child: nothing to read, and the writing ends. */
  get stdio(): ['ignore', number, number] {
    return ['ignore', this.#ends.stdout.writerFd, this.#ends.stderr.writerFd];
  }

  /** Starts to read. The streams own the reading ends from here on. */
  read(): { readonly stdout: Readable; readonly stderr: Readable } {
    this.#readers ??= { stdout: readerOf(this.#ends.stdout), stderr: readerOf(this.#ends.stderr) };
    return this.#readers;
  }

  /** The child has its ends now: with the agent's own closed, the streams end when the last process of the task is gone. */
  closeWriters(): void {
    closeSync(this.#ends.stdout.writerFd);
    closeSync(this.#ends.stderr.writerFd);
  }

  /** Nobody will read. */
  destroyReaders(): void {
    const { stdout, stderr } = this.read();
    stdout.destroy();
    stderr.destroy();
  }

  /** Closes what was never given to a child. */
  close(): void {
    closeEnds(this.#ends.stdout);
    closeEnds(this.#ends.stderr);
  }
}

function openEnds(path: string): PipeEnds {
  // In this order, and without waiting: a FIFO opened to be read waits for its writer otherwise.
  const readerFd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    return { readerFd, writerFd: openSync(path, constants.O_WRONLY) };
  } catch (error) {
    closeSync(readerFd);
    throw error;
  } finally {
    unlinkSync(path);
  }
}

function readerOf({ readerFd }: PipeEnds): Readable {
  return new Socket({ fd: readerFd, readable: true, writable: false });
}

function closeEnds({ readerFd, writerFd }: PipeEnds): void {
  closeSync(readerFd);
  closeSync(writerFd);
}

import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { Duplex } from 'node:stream';
import type { Clock } from '@drawbridge/link';
import type { IPty } from '@lydell/node-pty';
import { ControlError } from '@drawbridge/protocol';
import type { SessionSignal, TerminalSize } from '@drawbridge/protocol';
import { signalGroup } from './session-process.ts';
import type { SessionExit, SessionProcess, SessionProcessOptions } from './session-process.ts';
import { writeInput } from './write-input.ts';

/** A terminal whose process has exited is read until it has been silent for this long: a child of it may hold it open for ever. */
const SILENCE_MS = 100;

/** Starts a program on a terminal of its own. Throws ControlError `unsupported` where there are none, `spawn_failed` when it cannot start. */
export async function startTerminal(options: SessionProcessOptions): Promise<SessionProcess> {
  const { spawn } = await loadPty();
  const { argv, cwd, env, cols, rows } = options;
  const [program, ...args] = argv;
  try {
    const pty = spawn(program, args, { cwd, env, cols, rows, name: env['TERM'] ?? 'xterm-256color', encoding: null });
    return new Terminal(pty, options);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ControlError('spawn_failed', `cannot start ${program}: ${reason}`, { cause: error });
  }
}

async function loadPty(): Promise<typeof import('@lydell/node-pty')> {
  try {
    return await import('@lydell/node-pty');
  } catch (error) {
    const message = `this agent has no terminals on ${process.platform} ${process.arch}`;
    throw new ControlError('unsupported', message, { cause: error });
  }
}

class Terminal implements SessionProcess {
  readonly pid: number;
  readonly exited: Promise<SessionExit>;
  readonly #pty: IPty;
  /** node-pty keeps it to itself: only the stream can tell whether it takes more, and only it can be read to the end. */
  readonly #stream: Duplex;
  #isOver = false;

  constructor(pty: IPty, { clock, onOutput }: SessionProcessOptions) {
    this.pid = pty.pid;
    this.#pty = pty;
    this.#stream = streamOf(pty);
    readToTheEnd(this.#stream, clock);
    pty.onData((data: unknown) => {
      if (data instanceof Uint8Array) onOutput(data, false);
    });
    this.exited = new Promise((resolve) => {
      pty.onExit(({ exitCode, signal }) => {
        this.#isOver = true;
        resolve(signal ? { code: undefined, signal: signalName(signal) } : { code: exitCode, signal: undefined });
      });
    });
  }

  write(bytes: Uint8Array): Promise<void> {
    return writeInput(this.#stream, bytes);
  }

  /** A terminal has no end of input but what is typed for it. */
  endInput(): void {
    // Nothing to do.
  }

  resize({ cols, rows }: TerminalSize): void {
    if (this.#isOver) return;
    try {
      this.#pty.resize(cols, rows);
    } catch {
      // EBADF: it has just ended.
    }
  }

  /** Goes where the terminal's own keys would go: to the program in front, and not to the shell behind it. */
  signal(name: SessionSignal): void {
    if (this.#isOver) return;
    signalGroup(foregroundGroup(this.pid) ?? this.pid, name);
  }

  pause(): void {
    if (!this.#isOver) this.#stream.pause();
  }

  resume(): void {
    if (!this.#isOver) this.#stream.resume();
  }
}

function streamOf(pty: IPty): Duplex {
  const stream: unknown = Reflect.get(pty, '_socket');
  if (stream instanceof Duplex) return stream;
  throw new Error('node-pty has no stream any more');
}

/**
 * node-pty drops the stream 200 ms after the exit, whether all has been read or not. What the process printed is read first, also
 * when its output is held back.
 */
function readToTheEnd(stream: Duplex, clock: Clock): void {
  const drop = stream.destroy.bind(stream);
  let isDropping = false;
  stream.destroy = (error?: Error) => {
    if (error !== undefined || stream.readableEnded || isDropping) return drop(error);
    isDropping = true;
    let silence = clock.after(SILENCE_MS, drop);
    stream.on('data', () => {
      silence.cancel();
      silence = clock.after(SILENCE_MS, drop);
    });
    stream.once('close', () => silence.cancel());
    stream.resume();
    return stream;
  };
}

/** Field 8 of proc(5): the process group in the foreground of the terminal; undefined where there is no /proc. */
function foregroundGroup(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const group = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[5]);
    return group > 0 ? group : undefined;
  } catch {
    return undefined;
  }
}

function signalName(number: number): string {
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0] ?? `signal ${number}`;
}

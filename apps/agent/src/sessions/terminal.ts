import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import type { IPty } from '@lydell/node-pty';
import { ControlError } from '@drawbridge/protocol';
import type { SessionSignal, TerminalSize } from '@drawbridge/protocol';
import { signalGroup } from './session-process.ts';
import type { SessionExit, SessionProcess, SessionProcessOptions } from './session-process.ts';
import { TerminalInput } from './terminal-input.ts';
import { TerminalOutput, descriptorOf } from './terminal-output.ts';

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
    // In a bundle a CommonJS module has no names of its own.
    return (await import('@lydell/node-pty')).default;
  } catch (error) {
    const message = `this agent has no terminals on ${process.platform} ${process.arch}`;
    throw new ControlError('unsupported', message, { cause: error });
  }
}

class Terminal implements SessionProcess {
  readonly pid: number;
  readonly exited: Promise<SessionExit>;
  readonly #pty: IPty;
  readonly #output: TerminalOutput;
  readonly #input: TerminalInput;
  #isOver = false;

  constructor(pty: IPty, { clock, onOutput }: SessionProcessOptions) {
    this.pid = pty.pid;
    this.#pty = pty;
    this.#input = new TerminalInput(descriptorOf(pty), clock);
    this.#output = new TerminalOutput(pty, clock, () => {
      this.#isOver = true;
      this.#input.end();
    });
    pty.onData((data: unknown) => {
      if (data instanceof Uint8Array) onOutput(data, false);
    });
    this.exited = new Promise((resolve) => {
      pty.onExit(({ exitCode, signal }) => {
        resolve(signal ? { code: undefined, signal: signalName(signal) } : { code: exitCode, signal: undefined });
      });
    });
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#input.write(bytes);
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

  hangUp(): void {
    this.#output.hangUp();
  }

  pause(): void {
    this.#output.pause();
  }

  resume(): void {
    this.#output.resume();
  }
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

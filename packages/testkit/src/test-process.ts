import { systemClock, withTimeout } from '@drawbridge/link';
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { killAll, killGroup } from './kill.ts';
import { LineBuffer } from './line-buffer.ts';
import { childrenOf } from './process-table.ts';

/** What to run. */
export interface Command {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly cwd?: string | undefined;
  /** The system's name of a network namespace to run in. */
  readonly namespace?: string | undefined;
}

/** How a process ended: by itself with a code, or by a signal. */
export interface ExitStatus {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

const STOP_TIMEOUT_MS = 30_000;
/** A child that outlives its parent may hold the pipes; nothing more of the parent comes after this long. */
const LAST_OUTPUT_MS = 500;
const ERROR_LINES = 20;

/** One running program with all it says. It leads a process group of its own, and everything in it ends with the owner's block. */
export class TestProcess implements AsyncDisposable {
  readonly stdout = new LineBuffer();
  readonly stderr = new LineBuffer();
  readonly pid: number;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #command: string;
  readonly #watchers = new Set<() => void>();
  readonly #ended: Promise<ExitStatus>;
  #status: ExitStatus | undefined;

  private constructor(child: ChildProcessByStdio<Writable, Readable, Readable>, pid: number, command: string) {
    this.#child = child;
    this.pid = pid;
    this.#command = command;
    endWithUs.add(pid);
    child.stdout.on('data', (chunk: Buffer) => this.#hear(this.stdout, chunk));
    child.stderr.on('data', (chunk: Buffer) => this.#hear(this.stderr, chunk));
    // A program that ends does not read what we still write.
    child.stdin.on('error', () => {});
    this.#ended = this.#watchEnd();
  }

  /** Starts it; fails when the program cannot be started at all. */
  static async start({ command, args, env, cwd, namespace }: Command): Promise<TestProcess> {
    // `ip netns exec` becomes the program: the process id is the same.
    const words = namespace === undefined ? [command] : ['ip', 'netns', 'exec', namespace, command];
    const [file = command, ...before] = words;
    const child = spawn(file, [...before, ...args], { env, cwd, detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
    if (child.pid === undefined) throw await failureOf(child);
    return new TestProcess(child, child.pid, [...words, ...args].join(' '));
  }

  /** How it ended; undefined while it runs. */
  get status(): ExitStatus | undefined {
    return this.#status;
  }

  /** Its whole standard output as bytes, for those who listen from the start. */
  onStdout(listener: (chunk: Buffer) => void): void {
    this.#child.stdout.on('data', listener);
  }

  /** Types `text` into its standard input. */
  write(text: string | Uint8Array): void {
    this.#child.stdin.write(text);
  }

  /** Ends its standard input. */
  endInput(): void {
    this.#child.stdin.end();
  }

  /** Asks `look` whenever the process said something, until it finds what it looks for. Fails when the process ends first. */
  waitFor<T>(look: () => T | undefined, options: { readonly what: string; readonly timeoutMs: number }): Promise<T> {
    const { what, timeoutMs } = options;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const watch = () => {
      const found = look();
      if (found !== undefined) resolve(found);
      else if (this.#status !== undefined) reject(this.#failure(`ended before ${what}`));
    };
    this.#watchers.add(watch);
    watch();
    const tooLate = () => this.#failure(`waited ${timeoutMs} ms for ${what}`);
    return withTimeout(systemClock, timeoutMs, promise, tooLate).finally(() => this.#watchers.delete(watch));
  }

  /** Resolves when it has ended and all it said was heard. */
  exited(timeoutMs = STOP_TIMEOUT_MS): Promise<ExitStatus> {
    return withTimeout(systemClock, timeoutMs, this.#ended, () => this.#failure(`still runs after ${timeoutMs} ms`));
  }

  /** Sends a signal to this one process. */
  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Kills this one process, as a crash would, and waits until it is gone. Its children live on. */
  async kill9(): Promise<void> {
    this.signal('SIGKILL');
    await this.exited();
  }

  /** Asks it to stop with SIGTERM and waits. Fails, and kills it, when it does not. */
  async stop(timeoutMs = STOP_TIMEOUT_MS): Promise<ExitStatus> {
    this.signal('SIGTERM');
    try {
      return await this.exited(timeoutMs);
    } catch (error) {
      await this.kill9();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const children = childrenOf(this.pid);
    killGroup(this.pid);
    await killAll(children);
    await this.exited();
    // Who got away with the pipes must not hold our own process.
    this.#child.stdout.destroy();
    this.#child.stderr.destroy();
    this.#child.stdin.destroy();
  }

  #hear(buffer: LineBuffer, chunk: Buffer): void {
    buffer.push(chunk);
    this.#tellWatchers();
  }

  async #watchEnd(): Promise<ExitStatus> {
    const { promise, resolve } = Promise.withResolvers<ExitStatus>();
    this.#child.once('exit', (code, signal) => {
      // Who was kept from running for as long finds the last output in the pipes: they are read once more before this is over.
      const timer = systemClock.after(LAST_OUTPUT_MS, () => setImmediate(() => resolve({ code, signal })));
      this.#child.once('close', () => {
        timer.cancel();
        resolve({ code, signal });
      });
    });
    this.#status = await promise;
    endWithUs.delete(this.pid);
    this.#tellWatchers();
    return this.#status;
  }

  #tellWatchers(): void {
    for (const watch of this.#watchers) watch();
  }

  #failure(what: string): Error {
    const { code, signal } = this.#status ?? {};
    const ending = this.#status === undefined ? '' : ` (exit ${signal ?? code})`;
    const said = [...this.stdout.lines.slice(-ERROR_LINES), ...this.stderr.text.split('\n').slice(-ERROR_LINES)];
    return new Error(`${this.#command}: ${what}${ending}\n${said.join('\n')}`.trimEnd());
  }
}

/** The groups that must not outlive this program, whatever ends it. */
const endWithUs = new Set<number>();
process.once('exit', () => endWithUs.forEach(killGroup));

async function failureOf(child: ChildProcessByStdio<Writable, Readable, Readable>): Promise<Error> {
  const [error] = await once(child, 'error');
  return error instanceof Error ? error : new Error(String(error));
}

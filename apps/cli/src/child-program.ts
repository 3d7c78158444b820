import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { systemClock, withTimeout } from '@drawbridge/link';
import { LAUNCHER_WORDS } from './launcher.ts';

const READY_MS = 30_000;
const STOP_MS = 45_000;

export interface ChildProgramOptions {
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Where its log goes. */
  readonly logFile: string;
  /** Given on standard input. */
  readonly input?: string;
}

/**
 * `drawbridge server` or `drawbridge agent` as a child, in a process group of its own: a terminal's Ctrl-C reaches it through
 * us, and it stops by itself when we vanish (its IPC channel closes).
 */
export class ChildProgram {
  readonly #child: ChildProcess;
  readonly #logFile: string;
  readonly #lines: AsyncIterableIterator<string>;
  readonly exited: Promise<number>;

  constructor({ args, env, logFile, input }: ChildProgramOptions) {
    const log = openSync(logFile, 'a', 0o600);
    this.#logFile = logFile;
    const [command, ...first] = LAUNCHER_WORDS;
    this.#child = spawn(command, [...first, ...args], {
      env: { ...process.env, ...env },
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', log, 'ipc'],
      detached: true,
    });
    this.#child.stdin?.end(input);
    if (this.#child.stdout === null) throw new Error('a child without standard output');
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
    this.exited = once(this.#child, 'exit').then(([code]) => (typeof code === 'number' ? code : 1));
  }

  /** The first line on standard output that starts with `word`, without it. Rejects when the program ends before. */
  async said(word: string): Promise<string> {
    const find = async () => {
      for (;;) {
        const line = await this.#lines.next();
        if (line.done === true) throw new Error(this.#lastWords());
        if (line.value.startsWith(`${word} `)) return line.value.slice(word.length + 1);
      }
    };
    return withTimeout(
      systemClock,
      READY_MS,
      find(),
      () => new Error(`not ready within ${READY_MS} ms: see ${this.#logFile}`),
    );
  }

  /** What the program said when it could not go on: its own words, or where to look. */
  #lastWords(): string {
    const last = readFileSync(this.#logFile, 'utf8').trimEnd().split('\n').at(-1) ?? '';
    return last.startsWith('drawbridge ') ? last : `the program ended: see ${this.#logFile}`;
  }

  /** Lets it drain; ends it when it takes too long. Stopping twice is fine. */
  async stop(): Promise<number> {
    this.#child.kill('SIGTERM');
    const giveUp = () => new Error('did not stop');
    return withTimeout(systemClock, STOP_MS, this.exited, giveUp).catch(() => {
      this.#child.kill('SIGKILL');
      return this.exited;
    });
  }

  /** Ends it now. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { systemClock } from '@drawbridge/link';
import { eventually, isAlive, TempDir } from '@drawbridge/testkit';
import { PipePool } from '../tasks/pipe-pool.ts';
import { startPiped } from './piped-process.ts';
import type { SessionProcess, SessionProcessOptions } from './session-process.ts';
import { startTerminal } from './terminal.ts';

/** Real processes in a directory of their own; disposing it ends them all. */
export class ProcessFixture implements AsyncDisposable {
  readonly dir: TempDir;
  readonly #pool: PipePool;
  readonly #printed = { stdout: '', stderr: '' };
  readonly #running: SessionProcess[] = [];
  /** Called with each piece of output, after it was noted. */
  onOutput: () => void = () => undefined;

  private constructor(dir: TempDir) {
    this.dir = dir;
    this.#pool = new PipePool(dir.path);
  }

  static async make(): Promise<ProcessFixture> {
    return new ProcessFixture(await TempDir.make());
  }

  get stdout(): string {
    return this.#printed.stdout;
  }

  get stderr(): string {
    return this.#printed.stderr;
  }

  /** Starts a script of /bin/sh on three pipes. */
  async piped(script: string, more: Partial<SessionProcessOptions> = {}): Promise<SessionProcess> {
    return this.#keep(await startPiped(this.#options(script, more), this.#pool));
  }

  /** Starts one on a terminal. */
  async terminal(script: string, more: Partial<SessionProcessOptions> = {}): Promise<SessionProcess> {
    return this.#keep(await startTerminal(this.#options(script, more)));
  }

  /** Resolves when that has been printed on stdout, so many times. */
  async until(text: string, times = 1): Promise<void> {
    const found = () => this.stdout.split(text).length > times || this.stdout.slice(-200);
    await eventually(found, { what: `${times} × ${text}`, until: (value) => value === true });
  }

  /** Lets a script go on that waits with `until [ -e go ]; do sleep 0.01; done`. */
  async letGo(): Promise<void> {
    await writeFile(this.dir.join('go'), '');
  }

  /** Resolves when a script has made that file. */
  async made(name: string): Promise<void> {
    await eventually(() => existsSync(this.dir.join(name)), { what: name });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { pid } of this.#running) {
      try {
        process.kill(-pid, 'SIGKILL');
      } catch {
        // ESRCH: none of the group is left.
      }
    }
    await Promise.all(this.#running.map(({ exited }) => exited));
    this.#pool[Symbol.dispose]();
    await this.dir[Symbol.asyncDispose]();
  }

  #keep(started: SessionProcess): SessionProcess {
    this.#running.push(started);
    return started;
  }

  #options(script: string, more: Partial<SessionProcessOptions>): SessionProcessOptions {
    return {
      argv: ['/bin/sh', '-c', script],
      cwd: this.dir.path,
      env: { PATH: process.env['PATH'] ?? '', HOME: this.dir.path, TERM: 'xterm-256color' },
      cols: 80,
      rows: 24,
      clock: systemClock,
      onOutput: (bytes, stderr) => {
        this.#printed[stderr ? 'stderr' : 'stdout'] += Buffer.from(bytes).toString('latin1');
        this.onOutput();
      },
      ...more,
    };
  }
}

/** Resolves when the process has exited, whatever of its output is still to come. */
export async function dead({ pid }: SessionProcess): Promise<void> {
  await eventually(() => !isAlive(pid), { what: `the end of ${pid}` });
}

/** A line of a script that waits for `letGo`. */
export const WAIT = 'until [ -e go ]; do sleep 0.01; done';

import { execFile } from 'node:child_process';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ControlError } from '@drawbridge/protocol';
import { AGENT_LIMITS } from '../limits.ts';
import { OutputPipes } from './output-pipes.ts';

const run = promisify(execFile);

/** Beside the tasks' directories, where no task id can name it. */
const PIPES_DIR = '.pipes';

/**
 * Pipes for the tasks to come. Only the system's mkfifo can make a FIFO here, and a program started for each task would cost
 * as much as the task's own: one makes them for several.
 */
export class PipePool implements Disposable {
  readonly #dir: string;
  readonly #spare: OutputPipes[] = [];
  #filling: Promise<void> | undefined;
  #made = 0;
  #isClosed = false;

  constructor(workspaceRoot: string) {
    this.#dir = join(workspaceRoot, PIPES_DIR);
  }

  /** Pipes nobody has used. Throws ControlError `disk_full` or `spawn_failed` when none can be made. */
  async take(): Promise<OutputPipes> {
    for (;;) {
      const pipes = this.#spare.pop();
      if (pipes !== undefined) return pipes;
      this.#filling ??= this.#fill().finally(() => (this.#filling = undefined));
      await this.#filling;
    }
  }

  /** Closing twice is fine. */
  [Symbol.dispose](): void {
    this.#isClosed = true;
    for (const pipes of this.#spare.splice(0)) pipes.close();
  }

  async #fill(): Promise<void> {
    const pairs = Array.from({ length: AGENT_LIMITS.sparePipes }, () => {
      this.#made += 1;
      const name = join(this.#dir, `${process.pid}-${this.#made}`);
      return { stdout: `${name}-stdout`, stderr: `${name}-stderr` };
    });
    const paths = pairs.flatMap((pair) => Object.values(pair));
    try {
      await mkdir(this.#dir, { recursive: true, mode: 0o700 });
      await makeFifos(paths);
      for (const pair of pairs) this.#spare.push(OutputPipes.open(pair));
    } finally {
      // Those that were opened have lost their names already.
      await Promise.all(paths.map((path) => rm(path, { force: true })));
    }
    if (this.#isClosed) this[Symbol.dispose]();
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

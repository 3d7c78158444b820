import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '@drawbridge/link';
import type { TaskOutcome, TaskStartParams } from '@drawbridge/protocol';
import { eventually, TempDir } from '@drawbridge/testkit';
import type { ProviderSettings } from '../providers/provider.ts';
import { ProviderRegistry } from '../providers/registry.ts';
import type { TaskHooks } from './task-run.ts';
import { TaskRunner, type TaskRunnerOptions } from './task-runner.ts';
import { systemProcessTable } from './system-process-table.ts';
import { findTaskProcesses } from './task-processes.ts';

/** What a test may set; the rest is set to what makes real processes quick to test with. */
export interface FixtureOptions extends Partial<TaskRunnerOptions> {
  readonly settings?: Record<string, ProviderSettings>;
}

/** For tests: a runner over a workspace of its own. When it is gone, so are its processes and files. */
export class TaskFixture implements AsyncDisposable {
  readonly runner: TaskRunner;
  readonly workspaceRoot: string;
  readonly #dir: TempDir;

  private constructor(runner: TaskRunner, workspaceRoot: string, dir: TempDir) {
    this.runner = runner;
    this.workspaceRoot = workspaceRoot;
    this.#dir = dir;
  }

  static async make({
    settings = { shell: { kind: 'shell' } },
    ...options
  }: FixtureOptions = {}): Promise<TaskFixture> {
    const dir = await TempDir.make();
    const workspaceRoot = options.workspaceRoot ?? dir.join('tasks');
    const runner = await TaskRunner.open({
      workspaceRoot,
      providers: new ProviderRegistry(settings),
      clock: systemClock,
      env: process.env,
      killGraceMs: 300,
      ...options,
    });
    return new TaskFixture(runner, workspaceRoot, dir);
  }

  /** Runs a script as a task, to its end. */
  run(script: string, more: RunOptions = {}): Promise<TaskOutcome> {
    const { hooks = { onState: () => {} }, signal = new AbortController().signal, ...params } = more;
    return this.runner.run(taskParams(script, params), hooks, signal);
  }

  /** Tells a task that waits for the file `go` in its working directory to go on. */
  letGo(taskId: string): Promise<void> {
    return writeFile(join(this.workspaceRoot, taskId, 'work/go'), '');
  }

  /** The text of a file in the directory of a task. */
  text(taskId: string, path: string): Promise<string> {
    return readFile(join(this.workspaceRoot, taskId, path), 'utf8');
  }

  /** What a running task has printed so far, once it is `wanted`. */
  printed(taskId: string, wanted: string): Promise<string> {
    return eventually(() => this.text(taskId, 'output/output.log'), {
      what: `task ${taskId} to print ${wanted}`,
      until: (text) => text.includes(wanted),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.runner[Symbol.asyncDispose]();
    await this.#dir[Symbol.asyncDispose]();
  }
}

/** Parts of a task, and how it is run. */
export interface RunOptions extends Partial<TaskStartParams> {
  readonly hooks?: TaskHooks;
  readonly signal?: AbortSignal;
}

/** The parameters of a task that runs `script`. */
export function taskParams(script: string, params: Partial<TaskStartParams> = {}): TaskStartParams {
  return { task_id: randomUUID(), provider: 'shell', instructions: script, timeout_seconds: 60, ...params };
}

/** The numbers of all processes that are marked with this task, wherever they went. */
export async function processesOf(taskId: string): Promise<readonly number[]> {
  const found = await findTaskProcesses(systemProcessTable(), { taskId, leader: undefined, leaderIsOurs: false });
  return found.map((one) => one.pid);
}

import { type Clock } from '@drawbridge/link';
import { ControlError, type TaskChannelMetadata, type TaskOutcome, type TaskStartParams } from '@drawbridge/protocol';
import { AGENT_LIMITS } from '../limits.ts';
import type { Provider } from '../providers/provider.ts';
import type { ProviderRegistry } from '../providers/registry.ts';
import { taskFailureOf } from './errno.ts';
import type { TaskContext } from './execute-command.ts';
import { LiveTask } from './live-task.ts';
import { readTaskFile, sizeOfTaskFile } from './output-reader.ts';
import { PipePool } from './pipe-pool.ts';
import type { ProcessTable } from './process-table.ts';
import { Slots } from './slots.ts';
import { systemProcessTable } from './system-process-table.ts';
import { checkTaskDir, openWorkspace, taskDirOf } from './task-dir.ts';
import { taskOutcome } from './task-outcome.ts';
import { type TaskHooks, TaskRun } from './task-run.ts';

/** What a runner needs; what is left out has its bound in `limits.ts`. */
export interface TaskRunnerOptions {
  /** Tasks have their directories directly below it. */
  readonly workspaceRoot: string;
  readonly providers: ProviderRegistry;
  readonly clock: Clock;
  /** The agent's own environment; tasks see a few variables of it. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly concurrency?: number;
  readonly outputBytesMax?: number;
  readonly killGraceMs?: number;
  readonly table?: ProcessTable;
}

interface Run {
  readonly live: LiveTask;
  readonly cancel: AbortController;
  readonly done: Promise<TaskOutcome>;
}

/** Runs the tasks of this agent: so many at a time, each in a directory and a process session of its own. */
export class TaskRunner {
  readonly #context: TaskContext;
  readonly #providers: ProviderRegistry;
  readonly #slots: Slots;
  readonly #runs = new Map<string, Run>();
  /** Aborts when no further task may start. */
  readonly #draining = new AbortController();

  private constructor(root: string, options: TaskRunnerOptions) {
    this.#context = {
      root,
      clock: options.clock,
      env: options.env,
      table: options.table ?? systemProcessTable(),
      pipes: new PipePool(root),
      outputBytesMax: options.outputBytesMax ?? AGENT_LIMITS.taskOutputBytesDefault,
      killGraceMs: options.killGraceMs ?? AGENT_LIMITS.killGraceMsDefault,
    };
    this.#providers = options.providers;
    this.#slots = new Slots(options.concurrency ?? AGENT_LIMITS.taskConcurrencyDefault, AGENT_LIMITS.tasksWaitingMax);
  }

  /** Makes the workspace if it is not there. */
  static async open(options: TaskRunnerOptions): Promise<TaskRunner> {
    return new TaskRunner(await openWorkspace(options.workspaceRoot), options);
  }

  /** Tasks that have their turn; those that wait for it are not counted. */
  get running(): number {
    return this.#slots.taken;
  }

  /** A task that has not ended: it runs, or waits for its turn. */
  find(taskId: string): LiveTask | undefined {
    return this.#runs.get(taskId)?.live;
  }

  /**
   * Runs one task to its end. Every way it can end is an outcome; this rejects only for a bug. Aborting `signal` cancels
   * the task, waiting or running.
   */
  async run(params: TaskStartParams, hooks: TaskHooks, signal: AbortSignal): Promise<TaskOutcome> {
    const taskId = params.task_id;
    if (this.#runs.has(taskId)) return this.#refusal(taskId, new ControlError('conflict', `task ${taskId} is running`));
    const cancel = new AbortController();
    const abort = () => cancel.abort(new ControlError('cancelled', 'the task was cancelled', { cause: signal.reason }));
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    const live = new LiveTask(
      taskDirOf(this.#context.root, taskId),
      this.#providers.allows(params.provider, 'stream_chunk'),
    );
    const done = this.#runNext(params, live, hooks, cancel.signal);
    this.#runs.set(taskId, { live, cancel, done });
    try {
      return await done;
    } finally {
      signal.removeEventListener('abort', abort);
      this.#runs.delete(taskId);
      live.end();
    }
  }

  /**
   * The bytes of one of a task's files, from `since` on, in chunks of at most 64 KiB; with `follow`, on until the task
   * has ended. Throws `task_not_found`, and `invalid_request` for an offset past the end.
   */
  async *read(request: TaskChannelMetadata, signal: AbortSignal): AsyncGenerator<Uint8Array, void> {
    const { task_id, file, since, follow } = request;
    const live = this.find(task_id);
    const dir = live?.dir ?? taskDirOf(this.#context.root, task_id);
    if (live === undefined) await checkTaskDir(dir);
    const path = file === 'output' ? dir.outputLog : dir.resultFile;
    yield* readTaskFile({ path, progress: live?.progress(file), since, follow }, signal);
  }

  /** How many bytes of one of a task's files can be read now. Throws `task_not_found`. */
  async size({ task_id, file }: Pick<TaskChannelMetadata, 'task_id' | 'file'>): Promise<number> {
    const live = this.find(task_id);
    if (live !== undefined) return live.progress(file).bytes;
    const dir = taskDirOf(this.#context.root, task_id);
    await checkTaskDir(dir);
    return sizeOfTaskFile(file === 'output' ? dir.outputLog : dir.resultFile);
  }

  /**
   * Finishes what runs and takes nothing new: tasks that wait for their turn fail with `agent_busy`. When `deadline`
   * aborts, what still runs is cancelled. Resolves when nothing is left.
   */
  async drain(deadline: AbortSignal): Promise<void> {
    this.#draining.abort(new ControlError('agent_busy', 'the agent is stopping'));
    const stop = () => this.#cancelAll();
    deadline.addEventListener('abort', stop, { once: true });
    if (deadline.aborted) stop();
    try {
      await Promise.allSettled([...this.#runs.values()].map((run) => run.done));
    } finally {
      deadline.removeEventListener('abort', stop);
    }
  }

  /** Cancels everything and waits for its end. Calling it twice is fine. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain(AbortSignal.abort());
    this.#context.pipes[Symbol.dispose]();
  }

  async #runNext(params: TaskStartParams, live: LiveTask, hooks: TaskHooks, signal: AbortSignal): Promise<TaskOutcome> {
    let provider: Provider;
    let slot: Disposable;
    // In line before anything is waited for: tasks get their turn in the order in which they came.
    const left = new AbortController();
    const turn = this.#slots.acquire(AbortSignal.any([signal, this.#draining.signal, left.signal]));
    try {
      [provider, slot] = await Promise.all([this.#usableProvider(params.provider), turn]);
    } catch (error) {
      left.abort(error);
      turn.then(giveBack).catch(() => undefined);
      return this.#refusal(params.task_id, taskFailureOf(error));
    }
    using _turn = slot;
    return await new TaskRun(this.#context, { params, provider, live, hooks }).outcome(signal);
  }

  async #usableProvider(name: string): Promise<Provider> {
    const provider = this.#providers.get(name);
    this.#providers.assertAllowed(name, 'execute_task');
    const { available, reason } = await provider.probe();
    if (!available) throw new ControlError('provider_unavailable', `provider ${name} is unavailable: ${reason}`);
    return provider;
  }

  #cancelAll(): void {
    for (const { cancel } of this.#runs.values()) {
      cancel.abort(new ControlError('cancelled', 'the agent stopped'));
    }
  }

  /** The outcome of a task that never had a directory. */
  #refusal(taskId: string, error: ControlError): TaskOutcome {
    return taskOutcome({
      taskId,
      error,
      exit: undefined,
      output: undefined,
      resultBytes: 0,
      startedAt: undefined,
      endedAt: new Date(this.#context.clock.now()).toISOString(),
    });
  }
}

/** A place that came too late for whoever asked for it. */
function giveBack(slot: Disposable): void {
  slot[Symbol.dispose]();
}

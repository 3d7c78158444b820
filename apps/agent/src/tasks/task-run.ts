import { ControlError, type TaskOutcome, type TaskStartParams } from '@drawbridge/protocol';
import type { Provider, ProviderCommand } from '../providers/provider.ts';
import { syncDirectory } from '@drawbridge/runtime';
import { errnoOf, taskFailureOf } from './errno.ts';
import { executeCommand, type TaskContext } from './execute-command.ts';
import type { LiveTask } from './live-task.ts';
import { removeProcessRecord } from './process-record.ts';
import type { ProcessEnd } from './supervise-process.ts';
import { createTaskDir, openTaskFile, type TaskDir } from './task-dir.ts';
import { TaskLogs } from './task-logs.ts';
import { taskOutcome } from './task-outcome.ts';
import { type TaskStateFile, writeTaskState } from './task-state-file.ts';

/** Told while a task moves; what it returns is waited for. */
export interface TaskHooks {
  onState(state: 'starting' | 'running'): void | Promise<void>;
}

/** One task that has its turn. */
export interface TaskRunOptions {
  readonly params: TaskStartParams;
  readonly provider: Provider;
  readonly live: LiveTask;
  readonly hooks: TaskHooks;
}

/** Carries one task from an empty directory to its outcome. Used once. */
export class TaskRun {
  readonly #context: TaskContext;
  readonly #options: TaskRunOptions;
  readonly #dir: TaskDir;
  #state: TaskStateFile;
  #logs: TaskLogs | undefined;
  #end: ProcessEnd | undefined;
  #resultBytes = 0;

  constructor(context: TaskContext, options: TaskRunOptions) {
    const { task_id, provider, mode, model } = options.params;
    this.#context = context;
    this.#options = options;
    this.#dir = options.live.dir;
    this.#state = { task_id, provider, mode, model, state: 'starting', created_at: this.#now() };
  }

  /**
   * The outcome, however the task ends. `signal` aborts with a `ControlError` that says why. Rejects only for a bug, and
   * leaves neither a process nor an open file then either.
   */
  async outcome(signal: AbortSignal): Promise<TaskOutcome> {
    try {
      await createTaskDir(this.#dir, this.#options.params.instructions);
    } catch (error) {
      // Nothing here is this task's: nothing is written, least of all into the directory of another.
      return this.#outcomeOf(taskFailureOf(error));
    }
    return this.#finish(await this.#failureOf(() => this.#carryOut(signal)));
  }

  async #carryOut(signal: AbortSignal): Promise<void> {
    await this.#moveTo('starting');
    const command = await this.#command();
    this.#logs = await TaskLogs.open(this.#options.live, command.result, this.#context.outputBytesMax);
    this.#end = await executeCommand(
      this.#context,
      {
        dir: this.#dir,
        command,
        capture: this.#logs.capture,
        timeoutMs: this.#options.params.timeout_seconds * 1000,
        onRunning: () => this.#moveTo('running'),
      },
      signal,
    );
    checkEnd(this.#end);
    if (command.result === 'file') this.#resultBytes = await measureResult(this.#dir);
  }

  #command(): Promise<ProviderCommand> {
    const { instructions, mode, model } = this.#options.params;
    const { taskFile, workDir, resultFile } = this.#dir;
    return this.#options.provider.command({ instructions, taskFile, workDir, resultFile, mode, model });
  }

  /** On disk first, then told. */
  async #moveTo(state: 'starting' | 'running'): Promise<void> {
    this.#state = { ...this.#state, state, ...(state === 'running' && { started_at: this.#now() }) };
    await writeTaskState(this.#dir, this.#state);
    await this.#options.hooks.onState(state);
  }

  /** Output, then `task.json`, then the record: whatever a crash leaves behind, the next start can tell. */
  async #finish(failure: ControlError | undefined): Promise<TaskOutcome> {
    const unwritten = await this.#failureOf(async () => {
      await this.#logs?.close();
      await syncDirectory(this.#dir.outputDir);
    });
    const outcome = this.#outcomeOf(failure ?? unwritten);
    const unsaved = await this.#failureOf(async () => {
      const { state, ended_at } = outcome;
      await writeTaskState(this.#dir, { ...this.#state, state, ended_at, outcome });
    });
    if (this.#end?.allGone !== false) await removeProcessRecord(this.#context.root, this.#dir.taskId);
    return unsaved === undefined ? outcome : this.#outcomeOf(failure ?? unwritten ?? unsaved);
  }

  #outcomeOf(error: ControlError | undefined): TaskOutcome {
    if (this.#logs?.result !== undefined) this.#resultBytes = this.#logs.result.bytes;
    this.#options.live.written('result', this.#resultBytes);
    return taskOutcome({
      taskId: this.#dir.taskId,
      error,
      exit: this.#end?.exit,
      output: this.#logs?.output,
      resultBytes: this.#resultBytes,
      startedAt: this.#state.started_at,
      endedAt: this.#now(),
    });
  }

  async #failureOf(work: () => Promise<void>): Promise<ControlError | undefined> {
    try {
      await work();
      return undefined;
    } catch (error) {
      return taskFailureOf(error);
    }
  }

  #now(): string {
    return new Date(this.#context.clock.now()).toISOString();
  }
}

/** Success is exit 0, by the process's own will. */
function checkEnd({ exit, stoppedBy }: ProcessEnd): void {
  if (stoppedBy !== undefined) throw stoppedBy;
  if (exit?.code === 0) return;
  const how = exit?.signal === undefined ? `exited with ${exit?.code}` : `was ended by ${exit.signal}`;
  throw new ControlError('process_failed', `the process ${how}`);
}

/** The size of a result the process was to write itself. */
async function measureResult(dir: TaskDir): Promise<number> {
  try {
    await using file = await openTaskFile(dir.resultFile);
    return (await file.stat()).size;
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    throw new ControlError('process_failed', 'the process exited with 0 but wrote no result', { cause: error });
  }
}

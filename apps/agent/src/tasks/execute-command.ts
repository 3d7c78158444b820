import { ControlError } from '@drawbridge/protocol';
import type { ProviderCommand } from '../providers/provider.ts';
import { taskEnvironment } from './environment.ts';
import { taskFailureOf } from './errno.ts';
import type { OutputCapture } from './output-capture.ts';
import type { PipePool } from './pipe-pool.ts';
import { writeProcessRecord } from './process-record.ts';
import { startProcess } from './start-process.ts';
import { type ProcessEnd, superviseProcess } from './supervise-process.ts';
import type { TaskDir } from './task-dir.ts';
import type { EndOptions } from './task-processes.ts';

/** What every task of one agent shares. */
export interface TaskContext extends EndOptions {
  /** The real path of the workspace. */
  readonly root: string;
  /** The environment of the agent, of which a task sees a few variables. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly pipes: PipePool;
  /** What one task may print. */
  readonly outputBytesMax: number;
}

/** One process to run in a task's directory. */
export interface Execution {
  readonly dir: TaskDir;
  readonly command: ProviderCommand;
  readonly capture: OutputCapture;
  readonly timeoutMs: number;
  /** Called once the process is on record. If it fails, the process is ended. */
  readonly onRunning: () => Promise<void>;
}

/**
 * Records, starts and supervises the process of a task. Its record is the caller's to remove, once the task's end is on
 * disk. Throws a `ControlError` if nothing was started.
 */
export async function executeCommand(
  context: TaskContext,
  execution: Execution,
  signal: AbortSignal,
): Promise<ProcessEnd> {
  const { root, env, table, pipes } = context;
  const { dir, command, capture, timeoutMs, onRunning } = execution;
  signal.throwIfAborted();
  await writeProcessRecord(root, dir.taskId, table);
  const process = await startProcess({
    argv: command.argv,
    env: taskEnvironment(env, command.envNames, dir.taskId),
    cwd: dir.workDir,
    pipes,
    table,
  });
  const unannounced = new AbortController();
  // From here on the process has a supervisor, whatever else fails.
  const supervised = superviseProcess(
    { ...context, taskId: dir.taskId, process, capture, timeoutMs },
    AbortSignal.any([signal, unannounced.signal]),
  );
  const announced = announce().then(
    () => undefined,
    (error: unknown) => {
      unannounced.abort(new ControlError('internal', 'the task could not be announced', { cause: error }));
      return { error };
    },
  );
  const end = await supervised;
  const failure = await announced;
  return failure === undefined ? end : { ...end, stoppedBy: taskFailureOf(failure.error) };

  async function announce(): Promise<void> {
    await writeProcessRecord(root, dir.taskId, table, process.identity);
    await onRunning();
  }
}

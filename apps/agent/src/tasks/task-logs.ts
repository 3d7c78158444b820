import type { ProviderCommand } from '../providers/provider.ts';
import type { LiveTask } from './live-task.ts';
import { OutputCapture } from './output-capture.ts';
import { type LogSummary, OutputLog } from './output-log.ts';

/** The files of a task that the agent writes from its process's output, and their followers. */
export class TaskLogs {
  readonly capture: OutputCapture;
  readonly #output: OutputLog;
  readonly #result: OutputLog | undefined;
  #closed: { readonly output: LogSummary; readonly result: LogSummary | undefined } | undefined;

  private constructor(capture: OutputCapture, output: OutputLog, result: OutputLog | undefined) {
    this.capture = capture;
    this.#output = output;
    this.#result = result;
  }

  /** Makes output.log, and result.md unless the process writes that itself. */
  static async open(live: LiveTask, kind: ProviderCommand['result'], outputBytesMax: number): Promise<TaskLogs> {
    const capture = new OutputCapture(outputBytesMax);
    const events = (file: 'output' | 'result') => ({
      onWritten: (bytes: number) => {
        live.written(file, bytes);
        capture.written();
      },
      onFailed: (error: unknown) => capture.fail(error),
    });
    const output = await OutputLog.create(live.dir.outputLog, events('output'));
    try {
      const result = kind === 'stdout' ? await OutputLog.create(live.dir.resultFile, events('result')) : undefined;
      capture.keepIn(output, result);
      return new TaskLogs(capture, output, result);
    } catch (error) {
      await output.close();
      throw error;
    }
  }

  /** What output.log holds; known once closed. */
  get output(): LogSummary | undefined {
    return this.#closed?.output;
  }

  /** What result.md holds; known once closed, if the agent wrote it. */
  get result(): LogSummary | undefined {
    return this.#closed?.result;
  }

  /** Makes everything durable. Throws what kept it from being so. */
  async close(): Promise<void> {
    const [output, result] = await Promise.all([this.#output.close(), this.#result?.close()]);
    this.#closed = { output, result };
    this.capture.failed.throwIfAborted();
  }
}

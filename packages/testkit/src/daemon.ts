import { killAll } from './kill.ts';
import { processesUsing } from './process-table.ts';
import { TempDir } from './temp-dir.ts';
import { type Command, type ExitStatus, TestProcess } from './test-process.ts';

/** One JSON line of a log; a line that is no JSON object is `{ text }`. */
export type LogLine = Readonly<Record<string, unknown>>;

const START_TIMEOUT_MS = 30_000;
const LOG_TIMEOUT_MS = 30_000;

/** A real server or agent with its data directory: started, crashed, stopped and started again as often as a test likes. */
export abstract class Daemon implements AsyncDisposable {
  readonly dataDir: string;
  readonly #ownDir: TempDir | undefined;
  #process: TestProcess | undefined;

  /** A directory made here is removed with the daemon; one that was a string stays. */
  protected constructor(dataDir: string | TempDir) {
    this.#ownDir = typeof dataDir === 'string' ? undefined : dataDir;
    this.dataDir = typeof dataDir === 'string' ? dataDir : dataDir.path;
  }

  /** What starts it, this time. */
  protected abstract command(): Command;

  /** True for the line on standard output that says it is up. Keeps what the line tells. */
  protected abstract isUp(line: string): boolean;

  get pid(): number {
    return this.#running.pid;
  }

  /** The log of the current run: its last lines, parsed. */
  get logs(): readonly LogLine[] {
    return this.#running.stderr.lines.map(parseLogLine);
  }

  /** The first line of the current run's log, now or soon, that `predicate` says yes to. */
  waitForLog(predicate: (line: LogLine) => boolean, timeoutMs = LOG_TIMEOUT_MS): Promise<LogLine> {
    return this.#running.waitFor(() => this.logs.find(predicate), { what: 'a log line', timeoutMs });
  }

  /** Resolves when the program said that it is up. */
  async waitUntilUp(timeoutMs = START_TIMEOUT_MS): Promise<void> {
    const { stdout } = this.#running;
    const up = () => stdout.lines.find((line) => this.isUp(line));
    await this.#running.waitFor(up, { what: 'the line that says it is up', timeoutMs });
  }

  /** Starts it; the run before must be over. */
  async launch(): Promise<void> {
    if (this.#process?.status === undefined && this.#process !== undefined) throw new Error(`${this.pid} still runs`);
    this.#process = await TestProcess.start(this.command());
  }

  /** Kills the program, as a crash would, and waits until it is gone. What it started lives on. */
  async kill9(): Promise<void> {
    await this.#running.kill9();
  }

  /** SIGTERM; resolves to how it ended. */
  async stop(timeoutMs?: number): Promise<ExitStatus> {
    return this.#running.stop(timeoutMs);
  }

  /** Resolves when it ended by itself. */
  async exited(timeoutMs?: number): Promise<ExitStatus> {
    return this.#running.exited(timeoutMs);
  }

  /** Stops it unless it is gone already, and starts it again on the same data. */
  async restart(): Promise<void> {
    if (this.#running.status === undefined) await this.stop();
    await this.launch();
    await this.waitUntilUp();
  }

  /** Ends everything that runs on this data, wherever it hid, and removes what was made here. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process?.[Symbol.asyncDispose]();
    await killAll(processesUsing(this.dataDir));
    await this.#ownDir?.[Symbol.asyncDispose]();
  }

  get #running(): TestProcess {
    if (this.#process === undefined) throw new Error('never started');
    return this.#process;
  }
}

function parseLogLine(line: string): LogLine {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === 'object' && value !== null) return { ...value };
  } catch {
    // Not ours: a warning of the runtime, or a stack trace.
  }
  return { text: line };
}

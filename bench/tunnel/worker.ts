import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { systemClock, withTimeout } from '@drawbridge/link';

/** What a worker says: first that it is ready, then an answer to each order. */
export type Said<T> = { readonly value: T } | { readonly error: string };

const START_TIMEOUT_MS = 30_000;
const ANSWER_TIMEOUT_MS = 300_000;

/** A process of its own that does one order after the other, and ends with us. */
export class Worker<Order extends object, Answer, Ready = undefined> implements AsyncDisposable {
  readonly pid: number;
  /** What it said when it was ready. */
  readonly ready: Ready;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, pid: number, ready: Ready) {
    this.#child = child;
    this.pid = pid;
    this.ready = ready;
  }

  /** Runs `main` with `args` and waits until it is ready. */
  static async start<Order extends object, Answer, Ready = undefined>(
    main: string,
    args: readonly string[] = [],
  ): Promise<Worker<Order, Answer, Ready>> {
    const child = fork(main, args, { execArgv: ['--disable-warning=ExperimentalWarning'] });
    try {
      const ready = await hear<Ready>(child, START_TIMEOUT_MS);
      if (child.pid === undefined) throw new Error(`${main} did not start`);
      return new Worker(child, child.pid, ready);
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
  }

  /** Resolves to its answer; rejects when it failed. One order at a time. */
  async ask(order: Order): Promise<Answer> {
    this.#child.send(order);
    return hear<Answer>(this.#child, ANSWER_TIMEOUT_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (isOver(this.#child)) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }
}

function isOver({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

function hear<T>(child: ChildProcess, timeoutMs: number): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const ended = (code: number | null, signal: string | null) => reject(new Error(`a worker ended (${signal ?? code})`));
  const said = (message: Said<T>) => {
    if ('error' in message) reject(new Error(message.error));
    else resolve(message.value);
  };
  child.once('exit', ended);
  child.once('message', said);
  const tooLate = () => new Error(`a worker said nothing for ${timeoutMs} ms`);
  return withTimeout(systemClock, timeoutMs, promise, tooLate).finally(() => {
    child.off('exit', ended);
    child.off('message', said);
  });
}

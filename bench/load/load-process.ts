import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Answer, CrowdOptions, Order } from './orders.ts';

const LOAD_MAIN = fileURLToPath(new URL('./load-main.ts', import.meta.url));

/** A process full of simulated clients, told what to do over its IPC channel. */
export class LoadProcess implements AsyncDisposable {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Resolves when its clients are ready to dial: agents have their keys and are enrolled. */
  static async start(options: CrowdOptions): Promise<LoadProcess> {
    const load = new LoadProcess(fork(LOAD_MAIN, [JSON.stringify(options)]));
    try {
      await load.#answer();
      return load;
    } catch (error) {
      await load[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Connects its first `count` clients; rejects when one of them is not served. */
  async connect(count: number): Promise<void> {
    await this.#ask({ do: 'connect', count });
  }

  /** Drops every connection at once. */
  async cut(): Promise<void> {
    await this.#ask({ do: 'cut' });
  }

  /** How many are connected now. */
  connected(): Promise<number> {
    return this.#ask({ do: 'count' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }

  async #ask(order: Order): Promise<number> {
    this.#child.send(order);
    return this.#answer();
  }

  #answer(): Promise<number> {
    return new Promise((resolve, reject) => {
      const exited = () =>
        reject(new Error(`a load process ended (${this.#child.signalCode ?? this.#child.exitCode})`));
      this.#child.once('exit', exited);
      this.#child.once('message', (answer: Answer) => {
        this.#child.off('exit', exited);
        if ('connected' in answer) resolve(answer.connected);
        else reject(new Error(answer.error));
      });
    });
  }
}

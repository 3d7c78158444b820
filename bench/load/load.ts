import { LoadProcess } from './load-process.ts';
import type { CrowdTarget } from './orders.ts';

/** How many clients, in how many processes. */
export interface LoadOptions {
  readonly size: number;
  readonly processes: number;
  /** Dials under way at the same time, all processes together. */
  readonly dialsAtOnce: number;
  readonly targetOf: (index: number, size: number) => Promise<CrowdTarget> | CrowdTarget;
}

/** Simulated clients, spread over processes of their own so that the server is what is measured. */
export class Load implements AsyncDisposable {
  readonly #processes: readonly LoadProcess[];
  readonly #size: number;
  readonly #ownership: AsyncDisposableStack;

  private constructor(processes: readonly LoadProcess[], size: number, ownership: AsyncDisposableStack) {
    this.#processes = processes;
    this.#size = size;
    this.#ownership = ownership;
  }

  static async start({ size, processes: count, dialsAtOnce, targetOf }: LoadOptions): Promise<Load> {
    await using ownership = new AsyncDisposableStack();
    const processes: LoadProcess[] = [];
    for (let index = 0; index < count; index += 1) {
      const share = shareOf(size, count, index);
      const target = await targetOf(index, share);
      const dialsMax = Math.ceil(dialsAtOnce / count);
      processes.push(ownership.use(await LoadProcess.start({ target, size: share, index, dialsMax })));
    }
    return new Load(processes, size, ownership.move());
  }

  /** Resolves when `count` clients are connected and served. */
  async connect(count: number): Promise<void> {
    const shares = this.#processes.map((_, index) => shareOf(count, this.#processes.length, index));
    await Promise.all(this.#processes.map((process, index) => process.connect(shares[index] ?? 0)));
  }

  /** Drops every connection at once. */
  async cut(): Promise<void> {
    await Promise.all(this.#processes.map((process) => process.cut()));
  }

  /** Throws when a client lost its connection on the way: then the figures say nothing. */
  async requireAllConnected(): Promise<void> {
    const connected = await Promise.all(this.#processes.map((process) => process.connected()));
    const sum = connected.reduce((total, next) => total + next, 0);
    if (sum !== this.#size) throw new Error(`${sum} of ${this.#size} clients are still connected`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ownership.disposeAsync();
  }
}

function shareOf(total: number, parts: number, index: number): number {
  return Math.floor(total / parts) + (index < total % parts ? 1 : 0);
}

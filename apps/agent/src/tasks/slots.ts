import { ControlError } from '@drawbridge/protocol';

interface Waiter {
  readonly grant: (slot: Disposable) => void;
}

/** A fixed number of places. Who finds none free waits in order of arrival. */
export class Slots {
  readonly #waiting = new Set<Waiter>();
  readonly #waitingMax: number;
  readonly #count: number;
  #taken = 0;

  constructor(count: number, waitingMax: number) {
    if (!Number.isInteger(count) || count < 1) throw new RangeError(`slots: ${count} is not a number of places`);
    this.#count = count;
    this.#waitingMax = waitingMax;
  }

  /** Places in use. */
  get taken(): number {
    return this.#taken;
  }

  /** Resolves with a place, given back by disposing of it. Rejects when `signal` aborts, or when too many wait already. */
  async acquire(signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted();
    if (this.#taken < this.#count) return this.#take();
    if (this.#waiting.size >= this.#waitingMax) {
      throw new ControlError('agent_busy', `${this.#waiting.size} tasks are waiting already`);
    }
    const { promise, resolve, reject } = Promise.withResolvers<Disposable>();
    const leave = () => {
      this.#waiting.delete(waiter);
      reject(signal.reason);
    };
    const waiter: Waiter = {
      grant: (slot) => {
        signal.removeEventListener('abort', leave);
        resolve(slot);
      },
    };
    this.#waiting.add(waiter);
    signal.addEventListener('abort', leave, { once: true });
    return promise;
  }

  #take(): Disposable {
    this.#taken += 1;
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        this.#taken -= 1;
        this.#grantNext();
      },
    };
  }

  #grantNext(): void {
    const [next] = this.#waiting;
    if (next === undefined) return;
    this.#waiting.delete(next);
    next.grant(this.#take());
  }
}

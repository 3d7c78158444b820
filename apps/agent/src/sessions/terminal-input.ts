import { writeSync } from 'node:fs';
import type { Clock, Timer } from '@drawbridge/link';
import { AGENT_LIMITS } from '../limits.ts';
import { errnoOf } from '../tasks/errno.ts';

/** A terminal that takes nothing is tried again: soon, then less often. */
const RETRY_MS_MIN = 2;
const RETRY_MS_MAX = 100;

/**
 * Input on its way to a terminal that takes it when its program reads. Written by ourselves: Node's stream on the master side of a terminal
 * waits inside a write until the program has read, and everything else with it.
 */
export class TerminalInput {
  readonly #fd: number;
  readonly #clock: Clock;
  readonly #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #retry: Timer | undefined;
  #retryMs = RETRY_MS_MIN;
  #room = Promise.withResolvers<void>();
  #isOver = false;

  /** `fd` does not block, and is nobody else's until `end`. */
  constructor(fd: number, clock: Clock) {
    this.#fd = fd;
    this.#clock = clock;
  }

  /** Resolves when there is room for more, or nobody takes any. */
  async write(bytes: Uint8Array): Promise<void> {
    if (this.#isOver || bytes.byteLength === 0) return;
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.byteLength;
    if (this.#retry === undefined) this.#flush();
    if (this.#waitingBytes > AGENT_LIMITS.sessionInputBytesMax) await this.#room.promise;
  }

  /** Nobody takes input any more: from here on the descriptor is not touched. */
  end(): void {
    this.#isOver = true;
    this.#retry?.cancel();
    this.#waiting.length = 0;
    this.#waitingBytes = 0;
    this.#room.resolve();
  }

  #flush(): void {
    this.#retry = undefined;
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      const taken = this.#offer(first);
      if (taken === undefined) return this.end();
      if (taken === 0) return this.#tryLater();
      this.#retryMs = RETRY_MS_MIN;
      this.#waitingBytes -= taken;
      if (taken === first.byteLength) this.#waiting.shift();
      else this.#waiting[0] = first.subarray(taken);
    }
    this.#room.resolve();
    this.#room = Promise.withResolvers();
  }

  /** How much of it the terminal takes now; undefined when it is gone. */
  #offer(bytes: Uint8Array): number | undefined {
    try {
      return writeSync(this.#fd, bytes);
    } catch (error) {
      return errnoOf(error) === 'EAGAIN' ? 0 : undefined;
    }
  }

  #tryLater(): void {
    this.#retry = this.#clock.after(this.#retryMs, () => this.#flush());
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS_MAX);
  }
}

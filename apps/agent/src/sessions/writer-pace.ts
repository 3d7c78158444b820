import type { Clock, Timer } from '@drawbridge/link';
import { AGENT_LIMITS } from '../limits.ts';

/** What is stopped and let go on. */
export interface Paced {
  pause(): void;
  resume(): void;
}

/**
 * Keeps a session's output from running away from who writes, as a terminal does: what they type for is what they read. A writer who
 * takes nothing for 15 s is not waited for any more until they have caught up; those who only look are never waited for.
 *
 *   free --too far behind--> waiting --caught up--> free
 *                            waiting --nothing taken for 15 s--> given up --caught up--> free
 */
export class WriterPace {
  readonly #clock: Clock;
  readonly #paced: Paced;
  readonly #lagBytesMax: number;
  #state: 'free' | 'waiting' | 'given up' = 'free';
  #patience: Timer | undefined;

  constructor(clock: Clock, paced: Paced, ringBytes: number) {
    this.#clock = clock;
    this.#paced = paced;
    // Half of the ring is left for what is on its way out of the process already.
    this.#lagBytesMax = Math.min(AGENT_LIMITS.sessionLagBytesMax, ringBytes / 2);
  }

  /** There is more output: the writer has so many bytes to go. */
  produced(lagBytes: number): void {
    if (this.#state !== 'free' || lagBytes <= this.#lagBytesMax) return;
    this.#state = 'waiting';
    this.#paced.pause();
    this.#wait();
  }

  /** The writer took something, and has so many bytes to go. */
  taken(lagBytes: number): void {
    if (this.#state === 'free') return;
    if (lagBytes <= this.#lagBytesMax / 2) this.#release('free');
    else if (this.#state === 'waiting') this.#wait();
  }

  /** Nobody writes any more. */
  gone(): void {
    this.#release('free');
  }

  #wait(): void {
    this.#patience?.cancel();
    this.#patience = this.#clock.after(AGENT_LIMITS.writerPatienceMs, () => this.#release('given up'));
  }

  #release(to: 'free' | 'given up'): void {
    this.#patience?.cancel();
    if (this.#state === 'waiting') this.#paced.resume();
    this.#state = to;
  }
}

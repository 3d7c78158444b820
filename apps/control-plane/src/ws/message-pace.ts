import type { Clock } from '@drawbridge/link';

/** What an agent may say, in tokens: ten times what a busy one does. */
export const MESSAGE_PACE = {
  perSecond: 1_000,
  burst: 5_000,
  /** A long message is worth as many short ones: 4 MiB a second cost no more than 1 000 heartbeats. */
  bytesPerToken: 4_096,
} as const;

/** How fast one agent may talk. Nothing is lost at the bound: the link is not read for a while, and TCP holds the agent back. */
export class MessagePace {
  readonly #clock: Clock;
  readonly #pace: typeof MESSAGE_PACE;
  #tokens: number;
  #atMs: number;

  constructor(clock: Clock, pace: typeof MESSAGE_PACE = MESSAGE_PACE) {
    this.#clock = clock;
    this.#pace = pace;
    this.#tokens = pace.burst;
    this.#atMs = clock.monotonic();
  }

  /** Counts a message that has come. How long to read no more; 0 while the agent is within its pace. */
  heard(lengthBytes: number): number {
    const { perSecond, burst, bytesPerToken } = this.#pace;
    const nowMs = this.#clock.monotonic();
    this.#tokens = Math.min(burst, this.#tokens + ((nowMs - this.#atMs) / 1000) * perSecond);
    this.#atMs = nowMs;
    this.#tokens -= Math.max(1, lengthBytes / bytesPerToken);
    return this.#tokens >= 0 ? 0 : Math.ceil((-this.#tokens / perSecond) * 1000);
  }
}

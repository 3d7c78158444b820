import { ControlError } from '@drawbridge/protocol';
import type { Clock } from '@drawbridge/link';

/** How often one agent may be commanded: steadily, and in a burst. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

interface Bucket {
  tokens: number;
  atMs: number;
}

/** A token bucket for each agent (S2-056). Full buckets are forgotten, so that only busy agents cost memory. */
export class RateLimit {
  readonly #rate: Rate;
  readonly #clock: Clock;
  readonly #buckets = new Map<string, Bucket>();

  constructor(rate: Rate, clock: Clock) {
    this.#rate = rate;
    this.#clock = clock;
  }

  /** Takes one token of the agent. Throws ControlError `rate_limited`, whose details say when to come back. */
  take(agentId: string): void {
    const { perSecond, burst } = this.#rate;
    const nowMs = this.#clock.monotonic();
    const bucket = this.#buckets.get(agentId) ?? { tokens: burst, atMs: nowMs };
    const tokens = Math.min(burst, bucket.tokens + ((nowMs - bucket.atMs) / 1000) * perSecond);
    this.#forgetFull(nowMs);
    if (tokens < 1) {
      const details = { retry_after_seconds: Math.ceil((1 - tokens) / perSecond) };
      throw new ControlError('rate_limited', `agent ${agentId} gets at most ${perSecond} commands a second`, {
        details,
      });
    }
    this.#buckets.set(agentId, { tokens: tokens - 1, atMs: nowMs });
  }

  /** The oldest bucket is the likeliest to be full again: one look a command keeps the map small. */
  #forgetFull(nowMs: number): void {
    const oldest = this.#buckets.entries().next();
    if (oldest.done === true) return;
    const [agentId, { tokens, atMs }] = oldest.value;
    this.#buckets.delete(agentId);
    const isFull = tokens + ((nowMs - atMs) / 1000) * this.#rate.perSecond >= this.#rate.burst;
    if (!isFull) this.#buckets.set(agentId, { tokens, atMs });
  }
}

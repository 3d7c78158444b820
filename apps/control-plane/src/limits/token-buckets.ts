import { ControlError } from '@drawbridge/protocol';
import type { Clock } from '@drawbridge/link';

/** How often something may happen: steadily, and at once. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** Buckets kept at once; with more the one that was idle longest gives way. */
const BUCKETS_MAX = 10_000;

/** A token adds one bucket at most, so that more looks than one make the map shrink. */
const LOOKS_A_TOKEN = 2;

export interface TokenBucketsOptions {
  readonly rate: Rate;
  readonly clock: Clock;
  /** The message of a refusal: what is bounded, and by how much. */
  readonly refusal: (key: string) => string;
  readonly bucketsMax?: number;
}

interface Bucket {
  tokens: number;
  atMs: number;
}

/**
 * A token bucket for each key. Full buckets are forgotten, so that only busy keys cost memory; past `bucketsMax` the one that
 * was idle longest is dropped, which gives its key a full burst again, and is counted.
 */
export class TokenBuckets {
  readonly #options: TokenBucketsOptions;
  readonly #bucketsMax: number;
  /** By last use: the first was idle longest. */
  readonly #buckets = new Map<string, Bucket>();
  #dropped = 0;

  constructor(options: TokenBucketsOptions) {
    this.#options = options;
    this.#bucketsMax = options.bucketsMax ?? BUCKETS_MAX;
  }

  /** Keys that are remembered. */
  get size(): number {
    return this.#buckets.size;
  }

  /** Buckets that gave way although they were not full yet: more keys than this memory is meant for. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Takes one token of the key. Throws ControlError `rate_limited`, whose details say when to come back. */
  take(key: string): void {
    const nowMs = this.#options.clock.monotonic();
    for (let look = 0; look < LOOKS_A_TOKEN; look += 1) this.#forgetOldestIfFull(nowMs);
    const tokens = this.#tokens(key, nowMs);
    if (tokens < 1) throw this.#refusal(key, tokens);
    this.#buckets.delete(key);
    if (this.#buckets.size >= this.#bucketsMax) this.#dropOldest();
    this.#buckets.set(key, { tokens: tokens - 1, atMs: nowMs });
  }

  /** Throws as `take` would, and takes nothing: for what only counts when it fails. */
  check(key: string): void {
    const tokens = this.#tokens(key, this.#options.clock.monotonic());
    if (tokens < 1) throw this.#refusal(key, tokens);
  }

  /** Takes one token if there is one, and says whether: for what has happened already. */
  spend(key: string): boolean {
    const isThere = this.#tokens(key, this.#options.clock.monotonic()) >= 1;
    if (isThere) this.take(key);
    return isThere;
  }

  #tokens(key: string, nowMs: number): number {
    const bucket = this.#buckets.get(key);
    return bucket === undefined ? this.#options.rate.burst : this.#refilled(bucket, nowMs);
  }

  #refilled({ tokens, atMs }: Bucket, nowMs: number): number {
    const { perSecond, burst } = this.#options.rate;
    return Math.min(burst, tokens + ((nowMs - atMs) / 1000) * perSecond);
  }

  #refusal(key: string, tokens: number): ControlError {
    const { rate, refusal } = this.#options;
    const details = { retry_after_seconds: Math.ceil((1 - tokens) / rate.perSecond) };
    return new ControlError('rate_limited', refusal(key), { details });
  }

  /** The bucket that was idle longest is the likeliest to be full again. */
  #forgetOldestIfFull(nowMs: number): void {
    const oldest = this.#buckets.entries().next();
    if (oldest.done === true) return;
    const [key, bucket] = oldest.value;
    if (this.#refilled(bucket, nowMs) >= this.#options.rate.burst) this.#buckets.delete(key);
  }

  #dropOldest(): void {
    const oldest = this.#buckets.keys().next();
    if (oldest.done === true) return;
    this.#buckets.delete(oldest.value);
    this.#dropped += 1;
  }
}

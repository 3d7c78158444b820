import { LIMITS } from '@drawbridge/protocol';

/** One link that was lost, for no reason its peer gave. */
export interface QuietLoss {
  readonly livedMs: number;
  /** How long before the loss the last byte had passed, in either direction. */
  readonly quietMs: number;
}

/** A lower interval, and what it was concluded from: for the log. */
export interface LoweredInterval {
  readonly fromMs: number;
  readonly intervalMs: number;
  /** The silence after which something between the two ends seems to hang up. */
  readonly quietMs: number;
  readonly losses: number;
}

/** So many losses that look alike are no coincidence. */
const LOSSES_ALIKE = 3;
/** Alike: no silence longer than the shortest by more than a fifth, or by a second. */
const SPREAD_RATIO = 1.2;
const SPREAD_MS = 1_000;
/** The new interval leaves room for a beat that is late. */
const MARGIN = 0.6;

/**
 * Notices a proxy that hangs up on a quiet connection: links that die again and again after the same silence, one that is
 * shorter than the heartbeat interval. Then it lowers the interval below that silence (S0-051).
 */
export class AdaptiveInterval {
  #intervalMs: number;
  #quietMs: number[] = [];

  constructor(intervalMs: number = LIMITS.heartbeatIntervalMs) {
    this.#intervalMs = intervalMs;
  }

  get intervalMs(): number {
    return this.#intervalMs;
  }

  /** The server, or a person, asks for another interval: what was noticed before no longer applies. */
  reset(intervalMs: number): void {
    this.#intervalMs = intervalMs;
    this.#quietMs = [];
  }

  /** Notes a loss; the answer is the new interval when this one made the case. */
  lost({ livedMs, quietMs }: QuietLoss): LoweredInterval | undefined {
    // A link that lived no longer than the silence never carried a byte; no silence at all is no idle timeout.
    const isQuiet =
      quietMs >= LIMITS.heartbeatIntervalMsMin && quietMs < livedMs && quietMs <= this.#intervalMs + SPREAD_MS;
    this.#quietMs = isQuiet ? [...this.#quietMs, quietMs].slice(-LOSSES_ALIKE) : [];
    const shortestMs = Math.min(...this.#quietMs);
    const longestMs = Math.max(...this.#quietMs);
    if (this.#quietMs.length < LOSSES_ALIKE) return undefined;
    if (longestMs > Math.max(shortestMs * SPREAD_RATIO, shortestMs + SPREAD_MS)) return undefined;
    const intervalMs = Math.max(LIMITS.heartbeatIntervalMsMin, Math.floor(shortestMs * MARGIN));
    if (intervalMs >= this.#intervalMs) return undefined;
    const lowered = { fromMs: this.#intervalMs, intervalMs, quietMs: shortestMs, losses: LOSSES_ALIKE };
    this.reset(intervalMs);
    return lowered;
  }
}

import { LIMITS } from '@drawbridge/protocol';
import type { Clock, Timer } from './clock.ts';

/** What keeps a connection alive, and notices that it is not. */
export interface HeartbeatOptions {
  readonly clock: Clock;
  readonly intervalMs?: number;
  /** Sends one beat and says under which id its answer will come. */
  readonly beat: () => string;
  /** True while silence means nothing: nobody reads the connection. */
  readonly isDeaf?: () => boolean;
  /** Nothing was heard for `LIMITS.livenessTimeoutMs`. Called once; the heartbeat has stopped then. */
  readonly onSilent: () => void;
}

/** Beats left without an answer that are remembered for the round trip. */
const UNANSWERED_MAX = 8;

/** Beats at once and then at every interval, and watches that the peer is heard, until it is stopped. */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  readonly #unanswered = new Map<string, number>();
  #intervalMs: number;
  #heardAtMs: number;
  #beatTimer: Timer | undefined;
  #silenceTimer: Timer | undefined;
  #rttMs: number | undefined;
  #stopped = false;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    this.#intervalMs = clampInterval(options.intervalMs ?? LIMITS.heartbeatIntervalMs);
    this.#heardAtMs = options.clock.monotonic();
    this.#watch(LIMITS.livenessTimeoutMs);
    this.#beat();
  }

  get intervalMs(): number {
    return this.#intervalMs;
  }

  /** The round trip of the latest answered beat. */
  get rttMs(): number | undefined {
    return this.#rttMs;
  }

  /** Bytes of any kind arrived: the peer lives. */
  heard(): void {
    this.#heardAtMs = this.#options.clock.monotonic();
  }

  /** A beat's id came back. An id that was never sent, or is long forgotten, is ignored. */
  answered(beatId: string): void {
    const sentAtMs = this.#unanswered.get(beatId);
    if (sentAtMs === undefined) return;
    this.#unanswered.delete(beatId);
    this.#rttMs = this.#options.clock.monotonic() - sentAtMs;
  }

  /** The next beat is `intervalMs` from now, within the limits of a heartbeat. */
  setInterval(intervalMs: number): void {
    this.#intervalMs = clampInterval(intervalMs);
    if (!this.#stopped) this.#schedule();
  }

  /** No beat and no alarm after this. Calling it twice is fine. */
  stop(): void {
    this.#stopped = true;
    this.#beatTimer?.cancel();
    this.#silenceTimer?.cancel();
    this.#unanswered.clear();
  }

  [Symbol.dispose](): void {
    this.stop();
  }

  #beat(): void {
    const sentAtMs = this.#options.clock.monotonic();
    const beatId = this.#options.beat();
    if (this.#stopped) return;
    for (const oldest of this.#unanswered.keys()) {
      if (this.#unanswered.size < UNANSWERED_MAX) break;
      this.#unanswered.delete(oldest);
    }
    this.#unanswered.set(beatId, sentAtMs);
    this.#schedule();
  }

  #schedule(): void {
    this.#beatTimer?.cancel();
    this.#beatTimer = this.#options.clock.after(this.#intervalMs, () => this.#beat());
  }

  /** One timer for any number of bytes heard: it looks when it is due, and waits for the rest. */
  #watch(delayMs: number): void {
    this.#silenceTimer = this.#options.clock.after(delayMs, () => {
      if (this.#options.isDeaf?.() === true) this.heard();
      const leftMs = this.#heardAtMs + LIMITS.livenessTimeoutMs - this.#options.clock.monotonic();
      if (leftMs > 0) return this.#watch(leftMs);
      this.stop();
      this.#options.onSilent();
    });
  }
}

function clampInterval(intervalMs: number): number {
  return Math.min(Math.max(intervalMs, LIMITS.heartbeatIntervalMsMin), LIMITS.heartbeatIntervalMsMax);
}

import { LIMITS } from '@drawbridge/protocol';
import type { Clock } from './clock.ts';

/** Measures the round trip to the far end of a tunnel with HEARTBEATs on a channel, now and then and only while data flows. */
export class RttProbe {
  readonly #clock: Clock;
  readonly #send: (channelId: number, payload: Uint8Array) => void;
  #probes = 0;
  #sentAtMs = Number.NEGATIVE_INFINITY;
  #waiting = false;
  #rttMs: number | undefined;

  constructor(clock: Clock, send: (channelId: number, payload: Uint8Array) => void) {
    this.#clock = clock;
    this.#send = send;
  }

  /** Follows a shorter round trip at once and a longer one slowly: a queue in between is not distance. */
  get rttMs(): number | undefined {
    return this.#rttMs;
  }

  /** Data flows on this channel: a good moment, when the last one is long enough ago. */
  flowing(channelId: number): void {
    const nowMs = this.#clock.monotonic();
    if (nowMs - this.#sentAtMs < LIMITS.rttProbeIntervalMs) return;
    this.#sentAtMs = nowMs;
    this.#waiting = true;
    this.#probes = (this.#probes + 1) >>> 0;
    const payload = new Uint8Array(8);
    new DataView(payload.buffer).setUint32(0, this.#probes, true);
    this.#send(channelId, payload);
  }

  /** An answer came; one that was not asked for, or too late, is ignored. */
  answered(payload: Uint8Array): void {
    const probe = new DataView(payload.buffer, payload.byteOffset, payload.byteLength).getUint32(0, true);
    if (!this.#waiting || probe !== this.#probes) return;
    this.#waiting = false;
    const sampleMs = this.#clock.monotonic() - this.#sentAtMs;
    this.#rttMs = this.#rttMs === undefined ? sampleMs : Math.min(sampleMs, 0.75 * this.#rttMs + 0.25 * sampleMs);
  }
}

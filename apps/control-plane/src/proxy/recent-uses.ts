import type { Clock } from '@drawbridge/link';
import { PROXY_LIMITS } from './limits.ts';

interface Use {
  lastMs: number;
  readonly begun: Promise<void>;
}

/**
 * What is in use, so that a use is recorded when it begins and not with each of its requests: it goes on until it was left alone for
 * an hour.
 */
export class RecentUses {
  readonly #clock: Pick<Clock, 'monotonic'>;
  /** The one least recently used first. */
  readonly #uses = new Map<string, Use>();

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  /** Resolves once the use has been recorded with `record`, now or before; rejects when it cannot be, and is asked again next time. */
  async begin(use: string, record: () => Promise<void>): Promise<void> {
    const nowMs = this.#clock.monotonic();
    const known = this.#uses.get(use);
    const isOn = known !== undefined && nowMs - known.lastMs < PROXY_LIMITS.usePauseMs;
    const current = isOn ? known : { lastMs: nowMs, begun: record() };
    current.lastMs = nowMs;
    this.#uses.delete(use);
    const [oldest] = this.#uses.keys();
    if (this.#uses.size >= PROXY_LIMITS.usesMax && oldest !== undefined) this.#uses.delete(oldest);
    this.#uses.set(use, current);
    try {
      await current.begun;
    } catch (error) {
      if (this.#uses.get(use) === current) this.#uses.delete(use);
      throw error;
    }
  }
}

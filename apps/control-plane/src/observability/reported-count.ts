import type { Counter } from 'prom-client';

/** Agents whose count is remembered; with more, the one that changed longest ago is forgotten. */
const AGENTS_MAX = 100_000;

/** A number that every agent counts from its start, added up over agents and over their connections. */
export class ReportedCount {
  readonly #counter: Counter;
  readonly #before = new Map<string, number>();

  constructor(counter: Counter) {
    this.#counter = counter;
  }

  /** What an agent says now. It counts on while it is away: the number is compared over the ends of links. */
  note(agentId: string, count: number): void {
    const before = this.#before.get(agentId);
    if (before === count) return;
    this.#before.set(agentId, count);
    for (const oldest of this.#before.keys()) {
      if (this.#before.size <= AGENTS_MAX) break;
      this.#before.delete(oldest);
    }
    // Nothing to compare with: it may have been counted by the control plane that ran before this one.
    if (before === undefined) return;
    this.#counter.inc(count > before ? count - before : count);
  }
}

import type { Bus, Topic } from './bus.ts';

/** The bus of a single node. */
export class MemoryBus implements Bus {
  readonly #listeners = new Map<Topic, Set<() => void>>();

  publish(topic: Topic): void {
    // A copy: a listener may unsubscribe while it is told.
    const listeners = Array.from(this.#listeners.get(topic) ?? []);
    for (const listener of listeners) listener();
  }

  subscribe(topic: Topic, listener: () => void): () => void {
    const listeners = this.#listeners.get(topic) ?? new Set();
    this.#listeners.set(topic, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#listeners.get(topic) === listeners) this.#listeners.delete(topic);
    };
  }
}

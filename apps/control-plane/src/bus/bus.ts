/**
 * What has changed: whoever waits for a command, a task or an agent looks again; `access` is who may do what. Carries no
 * content, only names.
 */
export type Topic = `command:${string}` | `task:${string}` | `agent:${string}` | 'access';

/** Wakes up those who wait. The store is the truth: a lost wake-up delays, it never loses (architecture, decision 6). */
export interface Bus {
  publish(topic: Topic): void;
  /** Returns how to unsubscribe. */
  subscribe(topic: Topic, listener: () => void): () => void;
}

import { randomBytes } from 'node:crypto';
import type { Clock } from '@drawbridge/link';
import type { EventType, EventView } from '@drawbridge/protocol/api';
import { EventRing } from './event-ring.ts';
import { EVENT_LIMITS } from './limits.ts';

/** Something that has just changed and is stored. `data` is metadata: states, names, times; never content. */
export interface NewEvent {
  readonly type: EventType;
  /** `<kind>:<id>`. */
  readonly resource: string;
  /** Whose labels decide who may know of it; undefined for what is about the control plane. */
  readonly agentId?: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** An event as it is kept. */
export interface FeedEvent {
  readonly number: number;
  readonly atMs: number;
  readonly view: EventView;
}

/** Tells everybody who may know. It is quick and does not throw. */
export type Publish = (event: NewEvent) => void;

/**
 * What changes in this control plane, in order, for as many readers as there are. It remembers the newest events, so that a reader
 * goes on where it stopped; another process is another feed, and says so by the first part of its ids.
 */
export class EventFeed {
  readonly #clock: Clock;
  readonly #bootId = randomBytes(6).toString('hex');
  readonly #ring = new EventRing<FeedEvent>(EVENT_LIMITS.eventsKept, EVENT_LIMITS.eventsKeptMs);
  readonly #waiting = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Bound, so that nouns take it as a function. */
  readonly publish: Publish = ({ type, resource, agentId, data }) => {
    const number = this.#ring.newest + 1;
    const at = new Date(this.#clock.now()).toISOString();
    const view = { id: this.idOf(number), type, at, agent_id: agentId ?? null, resource, data };
    this.#ring.push({ number, atMs: this.#clock.monotonic(), view });
    const woken = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of woken) wake();
  };

  /** The number of the last event. */
  get newest(): number {
    return this.#ring.newest;
  }

  /** The id that a reader shows to go on after event `number`. */
  idOf(number: number): string {
    return `${this.#bootId}-${number}`;
  }

  /** The number in an id of this feed whose next event is still there; undefined when one has to start anew. */
  resume(id: string): number | undefined {
    const [, bootId, text = ''] = /^([0-9a-f]{1,32})-(\d{1,15})$/.exec(id) ?? [];
    const number = Number(text);
    if (bootId !== this.#bootId || number > this.newest) return undefined;
    return this.next(number) === 'gone' ? undefined : number;
  }

  /** The event after number `after`: `gone` when the reader is too far behind, undefined when there is none yet. */
  next(after: number): FeedEvent | 'gone' | undefined {
    return this.#ring.next(after, this.#clock.monotonic());
  }

  /** Resolves once there is an event after number `after`, or `signal` aborts; never rejects. */
  changed(after: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.newest !== after) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        this.#waiting.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener('abort', wake, { once: true });
    });
  }
}

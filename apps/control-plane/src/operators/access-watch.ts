import type { Clock } from '@drawbridge/link';
import { ControlError } from '@drawbridge/protocol';
import type { Bus } from '../bus/bus.ts';
import type { Actor } from './actor.ts';
import type { Principals } from './principals.ts';

/** A change of rights is noticed at once on this node, and within this time when it was made on another. */
const LOOK_MS = 1_000;

/** Something that stays open only as long as its actor may have it. */
export interface Watched extends Disposable {
  /** Aborts, with the reason as a ControlError, once the right is gone. */
  readonly signal: AbortSignal;
}

/** Throws, or rejects, when the actor may not go on. */
type Check = (actor: Actor) => void | Promise<void>;

interface Entry {
  readonly actor: Actor;
  readonly check: Check;
  readonly over: AbortController;
}

/** Ends what is open when the right to it is: a role changed, a token revoked, somebody signed out. */
export class AccessWatch {
  readonly #principals: Principals;
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #entries = new Set<Entry>();

  constructor({ principals, bus, clock }: { principals: Principals; bus: Bus; clock: Clock }) {
    this.#principals = principals;
    this.#bus = bus;
    this.#clock = clock;
  }

  /** How many are watched. */
  get size(): number {
    return this.#entries.size;
  }

  /** `check` throws when the actor, with the rights of that moment, may not go on. Dispose it when the thing closes. */
  watch(actor: Actor, check: Check): Watched {
    const entry = { actor, check, over: new AbortController() };
    this.#entries.add(entry);
    return {
      signal: entry.over.signal,
      [Symbol.dispose]: () => {
        this.#entries.delete(entry);
      },
    };
  }

  /** Looks after every change of rights, and every second, until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    let changed = Promise.withResolvers<void>();
    const unsubscribe = this.#bus.subscribe('access', () => changed.resolve());
    try {
      while (!signal.aborted) {
        const nap = new AbortController();
        const slept = this.#clock.sleep(LOOK_MS, AbortSignal.any([signal, nap.signal])).catch(() => undefined);
        await Promise.race([changed.promise, slept]);
        nap.abort(new Error('woken'));
        changed = Promise.withResolvers();
        await this.#look();
      }
    } finally {
      unsubscribe();
    }
  }

  async #look(): Promise<void> {
    for (const entry of this.#entries) {
      try {
        const actor = await this.#principals.refresh(entry.actor);
        if (actor === undefined) throw new ControlError('unauthenticated', 'the sign-in has ended');
        await entry.check(actor);
      } catch (error) {
        // A store that does not answer takes no right away: the next look decides.
        if (error instanceof ControlError && error.code === 'store_unavailable') continue;
        this.#entries.delete(entry);
        entry.over.abort(error);
      }
    }
  }
}

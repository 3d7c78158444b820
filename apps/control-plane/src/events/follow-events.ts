import type { Clock } from '@drawbridge/link';
import type { ErrorCode } from '@drawbridge/protocol';
import { ControlError } from '@drawbridge/protocol';
import type { EventTopic, EventView } from '@drawbridge/protocol/api';
import { actorText } from '../operators/actor.ts';
import type { Actor } from '../operators/actor.ts';
import type { AccessWatch } from '../operators/access-watch.ts';
import { authorise } from '../operators/authorise.ts';
import type { AgentLabels } from './agent-labels.ts';
import type { EventFeed } from './event-feed.ts';
import { EVENT_LIMITS } from './limits.ts';
import { maySee, rightToFollow, topicOf } from './may-see.ts';

/** One thing to tell a reader. `lastId` is what it shows to go on after this. */
export type EventItem =
  | { readonly kind: 'event'; readonly event: EventView; readonly lastId: string }
  /** What the reader knows is old: it reads everything again, then follows. */
  | { readonly kind: 'reset'; readonly lastId: string }
  /** Nothing has happened that is the reader's to know. The first item is one of these. */
  | { readonly kind: 'alive'; readonly lastId: string }
  /** The actor's rights are other ones: what could be seen may be hidden now, and the other way round. */
  | { readonly kind: 'access'; readonly at: string; readonly lastId: string }
  /** The last item: the right is gone. */
  | { readonly kind: 'error'; readonly code: ErrorCode; readonly message: string };

export interface EventRequest {
  readonly actor: Actor;
  /** Empty: all of them. */
  readonly topics: ReadonlySet<EventTopic>;
  /** Where the reader stopped; undefined: from now on. */
  readonly lastEventId: string | undefined;
}

export interface EventStreamsOptions {
  readonly feed: EventFeed;
  readonly labels: Pick<AgentLabels, 'of'>;
  readonly access: Pick<AccessWatch, 'watch'>;
  readonly clock: Clock;
}

/** Who follows the feed: everybody hears what they may know, with the rights and the labels of that moment. */
export class EventStreams {
  readonly #options: EventStreamsOptions;
  readonly #open = new Map<string, number>();

  constructor(options: EventStreamsOptions) {
    this.#options = options;
  }

  /**
   * Follows from `lastEventId` on, until `signal` aborts or the right to it ends. Throws `rate_limited` when the actor follows too
   * often already. A reader that is slow holds nothing up and costs nothing: it keeps its place in the feed, and is told `reset`
   * when that is gone.
   */
  follow(request: EventRequest, signal: AbortSignal): AsyncIterable<EventItem> {
    const name = actorText(request.actor);
    const open = this.#open.get(name) ?? 0;
    if (open >= EVENT_LIMITS.streamsPerActorMax) {
      const message = `${request.actor.name} follows events ${open} times already`;
      throw new ControlError('rate_limited', message, { details: { retry_after_seconds: 1 } });
    }
    this.#open.set(name, open + 1);
    const leave = () => {
      const left = (this.#open.get(name) ?? 1) - 1;
      if (left === 0) this.#open.delete(name);
      else this.#open.set(name, left);
    };
    if (signal.aborted) leave();
    else signal.addEventListener('abort', leave, { once: true });
    return this.#items(request, signal);
  }

  /** `signal` gives the place back, so that a stream nobody reads to its end does too. */
  async *#items({ actor, topics, lastEventId }: EventRequest, signal: AbortSignal): AsyncIterable<EventItem> {
    const { feed, access, clock } = this.#options;
    const wants = (topic: EventTopic) => topics.size === 0 || topics.has(topic);
    const rights = new LiveRights(actor);
    using watched = access.watch(actor, (now) => rights.update(now));
    const over = AbortSignal.any([signal, watched.signal]);
    const resumed = lastEventId === undefined ? undefined : feed.resume(lastEventId);
    let place = resumed ?? feed.newest;
    let saidMs = clock.monotonic();
    const say = (item: EventItem): EventItem => {
      saidMs = clock.monotonic();
      return item;
    };
    const lastId = () => feed.idOf(place);
    yield { kind: lastEventId !== undefined && resumed === undefined ? 'reset' : 'alive', lastId: lastId() };
    while (!over.aborted) {
      const quietMs = clock.monotonic() - saidMs;
      const next = feed.next(place);
      if (rights.takeChange() && wants('access')) {
        yield say({ kind: 'access', at: new Date(clock.now()).toISOString(), lastId: lastId() });
      } else if (quietMs >= EVENT_LIMITS.heartbeatMs) {
        yield say({ kind: 'alive', lastId: lastId() });
      } else if (next === undefined) {
        await this.#news(place, rights, EVENT_LIMITS.heartbeatMs - quietMs, over);
      } else if (next === 'gone') {
        place = feed.newest;
        yield say({ kind: 'reset', lastId: lastId() });
      } else {
        const isTold = wants(topicOf(next.view.type)) && (await this.#isFor(next.view, rights));
        if (over.aborted) break;
        place = next.number;
        if (isTold) yield say({ kind: 'event', event: next.view, lastId: lastId() });
      }
    }
    if (!signal.aborted) yield endOf(watched.signal.reason);
  }

  async #isFor(event: EventView, rights: LiveRights): Promise<boolean> {
    const labels = event.agent_id === null ? undefined : await this.#options.labels.of(event.agent_id);
    return maySee(rights.actor, event, labels);
  }

  /** Waits for an event or a change of rights, `waitMs` at most. */
  async #news(place: number, rights: LiveRights, waitMs: number, over: AbortSignal): Promise<void> {
    const { feed, clock } = this.#options;
    const nap = new AbortController();
    const signal = AbortSignal.any([over, nap.signal]);
    const slept = clock.sleep(waitMs, signal).catch(() => undefined);
    await Promise.race([slept, feed.changed(place, signal), rights.changed(signal)]);
    nap.abort(new Error('woken'));
  }
}

/** The reader's rights as they were last looked at; AccessWatch looks every second and after every change. */
class LiveRights {
  actor: Actor;
  #seen: string;
  #hasChanged = false;
  #wake: () => void = () => undefined;

  constructor(actor: Actor) {
    this.actor = actor;
    this.#seen = rightsText(actor);
  }

  /** Throws ControlError once nothing is left to follow. */
  update(now: Actor): void {
    const { verb, resource } = rightToFollow(now);
    authorise(now, verb, resource);
    this.actor = now;
    const seen = rightsText(now);
    if (seen === this.#seen) return;
    this.#seen = seen;
    this.#hasChanged = true;
    this.#wake();
  }

  /** True once for each change. */
  takeChange(): boolean {
    const hasChanged = this.#hasChanged;
    this.#hasChanged = false;
    return hasChanged;
  }

  changed(signal: AbortSignal): Promise<void> {
    if (this.#hasChanged) return Promise.resolve();
    return new Promise((resolve) => {
      this.#wake = resolve;
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }
}

function rightsText({ grants }: Actor): string {
  return JSON.stringify(grants.map(({ verbs, selector }) => [[...verbs], selector]));
}

function endOf(reason: unknown): EventItem {
  if (reason instanceof ControlError) return { kind: 'error', code: reason.code, message: reason.message };
  return { kind: 'error', code: 'unauthenticated', message: 'the sign-in has ended' };
}

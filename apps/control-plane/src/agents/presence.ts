import type { Clock } from '@drawbridge/link';
import type { HeartbeatPayload } from '@drawbridge/protocol';
import { LIMITS } from '@drawbridge/protocol';
import type { Bus } from '../bus/bus.ts';

/** One authenticated connection of an agent, as the nouns see it. */
export interface LiveLink {
  readonly agentId: string;
  readonly epoch: number;
  readonly journalId: string;
  /** The agent's process; undefined when it does not say. */
  readonly instance: string | undefined;
  /** True when the agent brought an old copy of its journal: nothing is delivered until it comes with a new one. */
  readonly journalOutdated: boolean;
  /** Commands sent on this link whose `started` has not come yet. */
  readonly unacknowledged: Set<string>;
  health: HeartbeatPayload | undefined;
  send(type: string, payload: unknown, id?: string): void;
  end(code: number, reason: string): void;
}

/** What `attach` found out about the connection it replaced. */
export interface Attached {
  readonly superseded: LiveLink | undefined;
  /** The process that was superseded before came back: two machines share one identity. */
  readonly duplicateIdentity: boolean;
}

interface Supersession {
  readonly instance: string;
  readonly atMs: number;
}

/** Who is told, at once, that an agent comes or goes. A follower is quick and does not throw. */
export interface PresenceFollower {
  readonly online: (link: LiveLink) => void;
  readonly offline: (link: LiveLink) => void;
}

/** Who is connected now: at most one link for each agent, the newest. */
export class Presence {
  readonly #links = new Map<string, LiveLink>();
  readonly #superseded = new Map<string, Supersession[]>();
  readonly #followers: PresenceFollower[] = [];
  readonly #bus: Bus;
  readonly #clock: Clock;

  constructor(bus: Bus, clock: Clock) {
    this.#bus = bus;
    this.#clock = clock;
  }

  follow(follower: PresenceFollower): void {
    this.#followers.push(follower);
  }

  get size(): number {
    return this.#links.size;
  }

  links(): Iterable<LiveLink> {
    return this.#links.values();
  }

  current(agentId: string): LiveLink | undefined {
    return this.#links.get(agentId);
  }

  /** What an older link still says changes nothing. */
  isCurrent(link: LiveLink): boolean {
    return this.#links.get(link.agentId) === link;
  }

  /** Makes `link` the agent's only one. A slower handshake that got an older epoch loses: then `undefined` comes back. */
  attach(link: LiveLink): Attached | undefined {
    const old = this.#links.get(link.agentId);
    if (old !== undefined && old.epoch > link.epoch) return undefined;
    this.#links.set(link.agentId, link);
    this.#bus.publish(`agent:${link.agentId}`);
    if (old === undefined) for (const follower of this.#followers) follower.online(link);
    return { superseded: old, duplicateIdentity: this.#noteSupersession(old, link) };
  }

  /** Wakes up those who wait for the agent: something about it has changed that is no link. */
  changed(agentId: string): void {
    this.#bus.publish(`agent:${agentId}`);
  }

  /** Forgets the link, unless a newer one took its place. Returns whether the agent is offline now. */
  detach(link: LiveLink): boolean {
    if (!this.isCurrent(link)) return false;
    this.#links.delete(link.agentId);
    this.#bus.publish(`agent:${link.agentId}`);
    for (const follower of this.#followers) follower.offline(link);
    return true;
  }

  #noteSupersession(old: LiveLink | undefined, link: LiveLink): boolean {
    const sinceMs = this.#clock.now() - LIMITS.supersededWindowMs;
    const recent = (this.#superseded.get(link.agentId) ?? []).filter((entry) => entry.atMs > sinceMs);
    if (old?.instance !== undefined && old.instance !== link.instance) {
      recent.push({ instance: old.instance, atMs: this.#clock.now() });
    }
    if (recent.length === 0) this.#superseded.delete(link.agentId);
    else this.#superseded.set(link.agentId, recent.slice(-LIMITS.supersededTimesMax));
    return recent.some((entry) => entry.instance === link.instance);
  }
}

import type { Clock } from '@drawbridge/link';
import type { Labels } from '@drawbridge/protocol';
import { labelsOf } from '../agents/agent-resource.ts';
import { AgentsRepository } from '../store/agents-repository.ts';
import { Believed } from '../store/believed.ts';
import type { Db } from '../store/store.ts';
import type { NewEvent } from './event-feed.ts';
import { EVENT_LIMITS } from './limits.ts';

/** The labels of agents as of now, give or take a second: many readers ask for the same ones at the same time. */
export class AgentLabels {
  readonly #db: Db;
  readonly #believed: Believed<Labels | undefined>;

  constructor({ db, clock }: { db: Db; clock: Clock }) {
    this.#db = db;
    this.#believed = new Believed({ clock, forMs: EVENT_LIMITS.labelsCachedMs, keptMax: EVENT_LIMITS.labelsCached });
  }

  /** Undefined when there never was such an agent; one that was revoked keeps its labels. */
  of(agentId: string): Promise<Labels | undefined> {
    return this.#believed.of(agentId, () => this.#find(agentId));
  }

  /** Call it for every event, before it is told: an agent that has changed may have other labels. */
  heard({ type, agentId }: NewEvent): void {
    if (type === 'agent.changed' && agentId !== undefined) this.#believed.forget(agentId);
  }

  async #find(agentId: string): Promise<Labels | undefined> {
    const row = await new AgentsRepository(this.#db).find(agentId);
    return row === undefined ? undefined : labelsOf(row);
  }
}

import { EventTopic } from '@drawbridge/protocol/api';
import { settle } from '@drawbridge/testkit';
import type { Actor } from '../operators/actor.ts';
import { PeopleFixture } from '../operators/people-fixture.ts';
import { AgentsRepository } from '../store/agents-repository.ts';
import { timestamp } from '../store/timestamp.ts';
import { AgentLabels } from './agent-labels.ts';
import { EventStreams } from './follow-events.ts';
import type { EventItem } from './follow-events.ts';

/** For tests: what one reader was told, and how to make it go. */
export interface Reader {
  readonly items: EventItem[];
  readonly over: AbortController;
  /** Resolves when its stream has ended. */
  readonly ended: Promise<void>;
}

/** For tests: a feed that follows real nouns, and people who follow it. Disposing ends every reader. */
export class EventsFixture implements AsyncDisposable {
  readonly people: PeopleFixture;
  readonly streams: EventStreams;
  readonly labels: AgentLabels;
  readonly #readers: Reader[] = [];
  readonly #stop = new AbortController();
  readonly #watching: Promise<void>;

  private constructor(people: PeopleFixture) {
    const { db, feed } = people.control.parts;
    const { clock } = people.control;
    this.people = people;
    this.labels = new AgentLabels({ db, clock });
    this.streams = new EventStreams({ feed, labels: this.labels, access: people.access, clock });
    this.#watching = people.access.run(this.#stop.signal);
  }

  static async make(): Promise<EventsFixture> {
    return new EventsFixture(await PeopleFixture.make());
  }

  get control() {
    return this.people.control;
  }

  /** Reads on and on, as fast as it comes. */
  follow(actor: Actor, options: { topics?: readonly EventTopic[]; lastEventId?: string } = {}): Reader {
    const over = new AbortController();
    const items: EventItem[] = [];
    const { topics = [], lastEventId } = options;
    const stream = this.streams.follow({ actor, topics: new Set(topics), lastEventId }, over.signal);
    const read = async () => {
      for await (const item of stream) items.push(item);
    };
    const reader = { items, over, ended: read() };
    this.#readers.push(reader);
    return reader;
  }

  async label(agentId: string, labels: Record<string, string>): Promise<void> {
    const { db, publish } = this.control.parts;
    const now = timestamp(this.control.clock);
    await db.transaction().execute((trx) => new AgentsRepository(trx).update(agentId, { labels }, now));
    const event = { type: 'agent.changed', resource: `agent:${agentId}`, agentId, data: { labels } } as const;
    this.labels.heard(event);
    publish(event);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { over } of this.#readers) over.abort(new Error('the test is over'));
    await Promise.all(this.#readers.map(({ ended }) => ended));
    this.#stop.abort(new Error('the test is over'));
    await this.#watching;
    await settle();
    await this.people[Symbol.asyncDispose]();
  }
}

/** For tests: the types of the events among these, and the other items by their kind. */
export function typesOf(items: readonly EventItem[]): string[] {
  return items.map((item) => (item.kind === 'event' ? item.event.type : item.kind));
}

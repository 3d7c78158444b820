import { LIMITS } from '@drawbridge/protocol';
import type { Logger } from '@drawbridge/runtime';
import type { Journal } from '../journal/journal.ts';
import type { AgentLink } from '../link/agent-link.ts';

/** Events: journalled first, sent in order, a bounded number ahead of their ack, and again on every new link. */
export class EventOutbox {
  readonly #journal: Journal;
  readonly #log: Logger;
  #link: AgentLink | undefined;
  #sentSeq = 0;
  #ackedSeq = 0;

  constructor(journal: Journal, log: Logger) {
    this.#journal = journal;
    this.#log = log;
  }

  /** Keeps the event and sends it as soon as there is a link. One that cannot be kept is dropped, with a line in the log. */
  append(kind: string, data: Record<string, unknown>): void {
    try {
      if (this.#journal.append(kind, data) === undefined)
        this.#log.warn({ kind }, 'event dropped: too many wait for their ack');
    } catch (error) {
      this.#log.error({ err: error, kind }, 'event dropped: the journal cannot be written');
    }
    this.#pump();
  }

  linkUp(link: AgentLink): void {
    this.#link = link;
    this.#sentSeq = this.#ackedSeq;
    this.#pump();
  }

  linkDown(): void {
    this.#link = undefined;
  }

  /** The journal was replaced: numbers start again. */
  restart(): void {
    this.#sentSeq = 0;
    this.#ackedSeq = 0;
  }

  acknowledged(seq: number): void {
    if (seq <= this.#ackedSeq || seq > this.#journal.lastEventSeq) return;
    this.#ackedSeq = seq;
    try {
      this.#journal.eventsAcknowledged(seq);
    } catch (error) {
      this.#log.warn({ err: error, seq }, 'ack not journalled: events may be sent once more');
    }
    this.#pump();
  }

  #pump(): void {
    const room = LIMITS.eventsInFlightMax - (this.#sentSeq - this.#ackedSeq);
    if (this.#link === undefined || room <= 0) return;
    for (const event of this.#journal.eventsAfter(this.#sentSeq, room)) {
      if (!this.#link.send('event', event)) return;
      this.#sentSeq = event.seq;
    }
  }
}

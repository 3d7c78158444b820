import type { Db } from './store.ts';

/** An event as an agent reported it. */
export interface NewEvent {
  readonly id: string;
  readonly agentId: string;
  readonly journalId: string;
  readonly seq: number;
  readonly kind: string;
  readonly data: string;
}

/** Rows of `agent_journals` and `agent_events`. */
export class JournalsRepository {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  /** The last event stored under this journal; 0 for one never seen, which is remembered from now on. */
  async lastSeq(agentId: string, journalId: string, now: string): Promise<number> {
    const row = await this.#db
      .insertInto('agent_journals')
      .values({ agent_id: agentId, journal_id: journalId, last_event_seq: 0, created_at: now })
      // SQLite returns a row only when it was written.
      .onConflict((conflict) =>
        conflict
          .columns(['agent_id', 'journal_id'])
          .doUpdateSet((row) => ({ last_event_seq: row.ref('agent_journals.last_event_seq') })),
      )
      .returning('last_event_seq')
      .executeTakeFirstOrThrow();
    return row.last_event_seq;
  }

  /** Stores an event once; false when it was stored before. */
  async append(event: NewEvent, now: string): Promise<boolean> {
    const inserted = await this.#db
      .insertInto('agent_events')
      .values({
        id: event.id,
        agent_id: event.agentId,
        journal_id: event.journalId,
        seq: event.seq,
        event_type: event.kind,
        event_data: event.data,
        created_at: now,
      })
      .onConflict((conflict) => conflict.columns(['agent_id', 'journal_id', 'seq']).doNothing())
      .executeTakeFirst();
    if (inserted.numInsertedOrUpdatedRows === 0n) return false;
    await this.#db
      .updateTable('agent_journals')
      .set({ last_event_seq: event.seq })
      .where('agent_id', '=', event.agentId)
      .where('journal_id', '=', event.journalId)
      .where('last_event_seq', '<', event.seq)
      .execute();
    return true;
  }
}

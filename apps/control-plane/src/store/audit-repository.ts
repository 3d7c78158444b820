import { sql } from 'kysely';
import type { Selectable, Updateable } from 'kysely';
import { labelsAllow } from './label-filter.ts';
import type { LabelFilter } from './label-filter.ts';
import type { AuditCheckpointsTable, AuditHeadTable, AuditRecordsTable } from './schema.ts';
import type { Db } from './store.ts';

export type AuditRow = Selectable<AuditRecordsTable>;
export type AuditCheckpointRow = Selectable<AuditCheckpointsTable>;
export type AuditHeadRow = Omit<Selectable<AuditHeadTable>, 'id'>;

/** The head, null where somebody has deleted it, beside what is there. */
export type StoredEnd = { readonly [Column in keyof AuditHeadRow]: AuditHeadRow[Column] | null } & {
  readonly newest_record_seq: number | null;
  readonly newest_checkpoint_seq: number | null;
};

/** Rows of one INSERT: few enough sizes that the statements stay prepared, far from every engine's bound on parameters. */
const INSERT_ROWS_MAX = 100;

/** What a list of records is narrowed to; all of it together. */
export interface AuditFilter {
  readonly actor?: string | undefined;
  readonly verb?: string | undefined;
  readonly agentId?: string | undefined;
  readonly resource?: string | undefined;
  readonly result?: string | undefined;
  /** Recorded at this time or later. */
  readonly since?: string | undefined;
  /** Recorded before this time. */
  readonly until?: string | undefined;
  /** Records about agents that this lets through; those about no agent only if it lets everything through. */
  readonly scope?: LabelFilter | undefined;
}

/** Rows of `audit_records`, `audit_checkpoints` and `audit_head`. Nothing here changes a record. */
export class AuditRepository {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  /**
   * Where the chain ends, locked until the transaction does: of two control planes that append, the second waits here and then
   * sees what the first has written. An UPDATE locks its row on every engine.
   */
  lockHead(): Promise<AuditHeadRow> {
    return this.#db
      .updateTable('audit_head')
      .set({ seq: sql<number>`seq` })
      .where('id', '=', 1)
      .returning(['seq', 'hash', 'checkpoint_seq'])
      .executeTakeFirstOrThrow();
  }

  async moveHead(set: Updateable<AuditHeadTable>): Promise<void> {
    await this.#db.updateTable('audit_head').set(set).where('id', '=', 1).execute();
  }

  async insertRecords(rows: readonly AuditRow[]): Promise<void> {
    for (let start = 0; start < rows.length; start += INSERT_ROWS_MAX) {
      const some = rows.slice(start, start + INSERT_ROWS_MAX);
      await this.#db.insertInto('audit_records').values(some).execute();
    }
  }

  async insertCheckpoint(row: AuditCheckpointRow): Promise<void> {
    await this.#db.insertInto('audit_checkpoints').values(row).execute();
  }

  /** The head, and the newest record and checkpoint there are, as they were at one moment. */
  end(): Promise<StoredEnd> {
    return this.#db
      .selectNoFrom((eb) => [
        eb.selectFrom('audit_head').where('id', '=', 1).select('seq').as('seq'),
        eb.selectFrom('audit_head').where('id', '=', 1).select('hash').as('hash'),
        eb.selectFrom('audit_head').where('id', '=', 1).select('checkpoint_seq').as('checkpoint_seq'),
        eb
          .selectFrom('audit_records')
          .select(({ fn }) => fn.max('seq').as('max'))
          .as('newest_record_seq'),
        eb
          .selectFrom('audit_checkpoints')
          .select(({ fn }) => fn.max('seq').as('max'))
          .as('newest_checkpoint_seq'),
      ])
      .executeTakeFirstOrThrow();
  }

  /** Newest first, older than record `beforeSeq`. */
  newest(limit: number, beforeSeq: number | undefined, filter: AuditFilter): Promise<AuditRow[]> {
    let query = this.#db.selectFrom('audit_records').selectAll().orderBy('seq', 'desc').limit(limit);
    if (beforeSeq !== undefined) query = query.where('seq', '<', beforeSeq);
    if (filter.actor !== undefined) query = query.where('actor', '=', filter.actor);
    if (filter.verb !== undefined) query = query.where('verb', '=', filter.verb);
    if (filter.agentId !== undefined) query = query.where('agent_id', '=', filter.agentId);
    if (filter.resource !== undefined) query = query.where('resource', '=', filter.resource);
    if (filter.result !== undefined) query = query.where('result', '=', filter.result);
    if (filter.since !== undefined) query = query.where('at', '>=', filter.since);
    if (filter.until !== undefined) query = query.where('at', '<', filter.until);
    if (filter.scope?.every((selector) => selector.length > 0) === true) {
      const allowed = labelsAllow('agents.agent_id', filter.scope);
      query = query.where('agent_id', 'in', (eb) => eb.selectFrom('agents').select('agent_id').where(allowed));
    }
    return query.execute();
  }

  /** Oldest first, after record `afterSeq` (from the very first when it is undefined) up to `throughSeq`. */
  recordsAfter(afterSeq: number | undefined, throughSeq: number, limit: number): Promise<AuditRow[]> {
    let query = this.#db.selectFrom('audit_records').selectAll().orderBy('seq').limit(limit);
    if (afterSeq !== undefined) query = query.where('seq', '>', afterSeq);
    return query.where('seq', '<=', throughSeq).execute();
  }

  /** Oldest first; as `recordsAfter`. */
  checkpointsAfter(afterSeq: number | undefined, throughSeq: number, limit: number): Promise<AuditCheckpointRow[]> {
    let query = this.#db.selectFrom('audit_checkpoints').selectAll().orderBy('seq').limit(limit);
    if (afterSeq !== undefined) query = query.where('seq', '>', afterSeq);
    return query.where('seq', '<=', throughSeq).execute();
  }

  newestCheckpoint(): Promise<AuditCheckpointRow | undefined> {
    return this.#db.selectFrom('audit_checkpoints').selectAll().orderBy('seq', 'desc').limit(1).executeTakeFirst();
  }

  async oldestSeq(): Promise<number | undefined> {
    const row = await this.#db.selectFrom('audit_records').select('seq').orderBy('seq').limit(1).executeTakeFirst();
    return row?.seq;
  }

  async hashOf(seq: number): Promise<string | undefined> {
    const row = await this.#db.selectFrom('audit_records').select('hash').where('seq', '=', seq).executeTakeFirst();
    return row?.hash;
  }

  /** The checkpoint made before `at` that is nearest to record `throughSeq`: at it or before it, else the next one. */
  async checkpointNear(throughSeq: number, at: string): Promise<AuditCheckpointRow | undefined> {
    const old = this.#db.selectFrom('audit_checkpoints').selectAll().where('at', '<', at).limit(1);
    const before = await old.where('seq', '<=', throughSeq).orderBy('seq', 'desc').executeTakeFirst();
    return before ?? (await old.where('seq', '>', throughSeq).orderBy('seq').executeTakeFirst());
  }

  /** Deletes records up to `seq`, and the checkpoints before that one; says how many records. */
  async deleteThrough(seq: number): Promise<number> {
    const done = await this.#db.deleteFrom('audit_records').where('seq', '<=', seq).executeTakeFirst();
    await this.#db.deleteFrom('audit_checkpoints').where('seq', '<', seq).execute();
    return Number(done.numDeletedRows);
  }
}

import type { Selectable, Updateable } from 'kysely';
import { labelsAllow } from './label-filter.ts';
import type { LabelFilter } from './label-filter.ts';
import type { Db } from './store.ts';
import type { TunnelLeasesTable } from './tunnel-schema.ts';

export type LeaseRow = Selectable<TunnelLeasesTable>;

/** Which ended leases a list is to show: of agents that pass `labels`. */
export interface EndedLeaseFilter {
  readonly agentId: string | undefined;
  readonly state: LeaseRow['state'] | undefined;
  readonly labels: LabelFilter;
}

/** Rows of `tunnel_leases`. */
export class LeasesRepository {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  async insert(row: LeaseRow): Promise<void> {
    await this.#db.insertInto('tunnel_leases').values(row).execute();
  }

  /** Changes a lease that has not ended; whether there was one. What has ended stays as it ended. */
  async update(tunnelId: string, set: Updateable<TunnelLeasesTable>): Promise<boolean> {
    const query = this.#db
      .updateTable('tunnel_leases')
      .set(set)
      .where('tunnel_id', '=', tunnelId)
      .where('ended_at', 'is', null);
    return (await query.executeTakeFirst()).numUpdatedRows > 0n;
  }

  find(tunnelId: string): Promise<LeaseRow | undefined> {
    return this.#db.selectFrom('tunnel_leases').selectAll().where('tunnel_id', '=', tunnelId).executeTakeFirst();
  }

  /** Every lease that has not ended, the oldest first. */
  unended(): Promise<LeaseRow[]> {
    return this.#db
      .selectFrom('tunnel_leases')
      .selectAll()
      .where('ended_at', 'is', null)
      .orderBy('tunnel_id')
      .execute();
  }

  /** Ended leases by id, those after `cursor`. */
  listEnded(page: { limit: number; cursor: string }, filter: EndedLeaseFilter): Promise<LeaseRow[]> {
    let query = this.#db
      .selectFrom('tunnel_leases')
      .selectAll()
      .where('ended_at', 'is not', null)
      .where('tunnel_id', '>', page.cursor)
      .where(labelsAllow('tunnel_leases.agent_id', filter.labels))
      .orderBy('tunnel_id')
      .limit(page.limit);
    if (filter.agentId !== undefined) query = query.where('agent_id', '=', filter.agentId);
    if (filter.state !== undefined) query = query.where('state', '=', filter.state);
    return query.execute();
  }

  /** Forgets what ended before `at`; how many there were. */
  async deleteEndedBefore(at: string): Promise<number> {
    const query = this.#db.deleteFrom('tunnel_leases').where('ended_at', '<', at);
    return Number((await query.executeTakeFirst()).numDeletedRows);
  }
}

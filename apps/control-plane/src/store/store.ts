import type { Kysely, Transaction } from 'kysely';
import type { Schema } from './schema.ts';

/** The database, or one transaction of it: repositories take either. */
export type Db = Kysely<Schema> | Transaction<Schema>;

/** A write about an agent holds only while this connection is its newest one (PROTOCOL.md §2.1). */
export interface Fence {
  readonly agentId: string;
  readonly epoch: number;
}

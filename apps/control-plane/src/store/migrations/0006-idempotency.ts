import type { Kysely } from 'kysely';
import { bytesType } from './column-types.ts';

/** Answers that are given again to a request that is repeated under its Idempotency-Key. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('idempotency_keys')
    .addColumn('actor', 'varchar(255)', (column) => column.notNull())
    .addColumn('key', 'varchar(255)', (column) => column.notNull())
    .addColumn('request_sha256', bytesType(db), (column) => column.notNull())
    .addColumn('state', 'varchar(16)', (column) => column.notNull())
    .addColumn('status', 'integer')
    .addColumn('answer', bytesType(db))
    .addColumn('created_at', 'varchar(24)', (column) => column.notNull())
    .addPrimaryKeyConstraint('pk_idempotency_keys', ['actor', 'key'])
    .execute();
  await db.schema.createIndex('idx_idempotency_keys_created').on('idempotency_keys').column('created_at').execute();
}

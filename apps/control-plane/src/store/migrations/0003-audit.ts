import type { Kysely } from 'kysely';

/** The hash before the first record. */
const GENESIS_HASH = '0'.repeat(64);

/** The fields a list is filtered by. Rows of one value are found in the order of the chain. */
const FILTERS = ['actor', 'agent_id', 'resource', 'result', 'verb'];

/** The audit log: records, signed checkpoints, and where the chain ends. */
export async function up(untyped: Kysely<unknown>): Promise<void> {
  const db = untyped as Kysely<{ audit_head: { id: number; seq: number; hash: string; checkpoint_seq: number } }>;
  const { schema } = db;
  await schema
    .createTable('audit_records')
    .addColumn('seq', 'bigint', (column) => column.primaryKey())
    .addColumn('id', 'varchar(36)', (column) => column.notNull())
    .addColumn('at', 'varchar(24)', (column) => column.notNull())
    .addColumn('actor', 'varchar(255)', (column) => column.notNull())
    .addColumn('actor_name', 'varchar(255)')
    .addColumn('verb', 'varchar(64)', (column) => column.notNull())
    .addColumn('resource', 'varchar(255)')
    .addColumn('agent_id', 'varchar(255)')
    .addColumn('address', 'varchar(64)')
    .addColumn('request_id', 'varchar(64)')
    .addColumn('result', 'varchar(16)', (column) => column.notNull())
    .addColumn('reason', 'text')
    .addColumn('details', 'text', (column) => column.notNull())
    .addColumn('previous_hash', 'varchar(64)', (column) => column.notNull())
    .addColumn('hash', 'varchar(64)', (column) => column.notNull())
    .execute();
  for (const column of FILTERS) {
    await schema.createIndex(`idx_audit_${column}`).on('audit_records').columns([column, 'seq']).execute();
  }
  await schema.createIndex('idx_audit_at').on('audit_records').column('at').execute();

  await schema
    .createTable('audit_checkpoints')
    .addColumn('seq', 'bigint', (column) => column.primaryKey())
    .addColumn('hash', 'varchar(64)', (column) => column.notNull())
    .addColumn('at', 'varchar(24)', (column) => column.notNull())
    .addColumn('count', 'bigint', (column) => column.notNull())
    .addColumn('signature', 'varchar(128)', (column) => column.notNull())
    .execute();

  await schema
    .createTable('audit_head')
    .addColumn('id', 'integer', (column) => column.primaryKey())
    .addColumn('seq', 'bigint', (column) => column.notNull())
    .addColumn('hash', 'varchar(64)', (column) => column.notNull())
    .addColumn('checkpoint_seq', 'bigint', (column) => column.notNull())
    .execute();
  await db.insertInto('audit_head').values({ id: 1, seq: 0, hash: GENESIS_HASH, checkpoint_seq: 0 }).execute();
}

import type { Kysely } from 'kysely';

/** The leases of operator tunnels: who may reach which agent by which port, and what became of it. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('tunnel_leases')
    .addColumn('tunnel_id', 'varchar(36)', (column) => column.primaryKey())
    .addColumn('agent_id', 'varchar(255)', (column) => column.notNull().references('agents.agent_id'))
    .addColumn('assigned_port', 'integer', (column) => column.notNull())
    .addColumn('protocol', 'varchar(32)', (column) => column.notNull())
    .addColumn('domain', 'varchar(32)', (column) => column.notNull())
    .addColumn('target', 'text')
    .addColumn('metadata', 'text', (column) => column.notNull())
    .addColumn('operator_id', 'varchar(255)', (column) => column.notNull())
    .addColumn('operator_name', 'varchar(255)')
    .addColumn('state', 'varchar(16)', (column) => column.notNull())
    .addColumn('epoch', 'integer', (column) => column.notNull())
    .addColumn('idle_timeout', 'double precision', (column) => column.notNull())
    .addColumn('grace_timeout', 'double precision', (column) => column.notNull())
    .addColumn('created_at', 'varchar(24)', (column) => column.notNull())
    .addColumn('expires_at', 'varchar(24)', (column) => column.notNull())
    .addColumn('last_activity_at', 'varchar(24)', (column) => column.notNull())
    .addColumn('grace_since', 'varchar(24)')
    .addColumn('bytes_up', 'bigint', (column) => column.notNull())
    .addColumn('bytes_down', 'bigint', (column) => column.notNull())
    .addColumn('close_code', 'integer')
    .addColumn('close_reason', 'text')
    .addColumn('ended_at', 'varchar(24)')
    .execute();
  await db.schema.createIndex('idx_tunnel_leases_ended').on('tunnel_leases').column('ended_at').execute();
  await db.schema
    .createIndex('idx_tunnel_leases_agent')
    .on('tunnel_leases')
    .columns(['agent_id', 'tunnel_id'])
    .execute();
}

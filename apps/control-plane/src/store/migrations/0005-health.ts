import type { Kysely } from 'kysely';

/** How agents fared, thinned out; and the settings each of them was given. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('agent_health')
    .addColumn('agent_id', 'varchar(255)', (column) => column.notNull())
    .addColumn('at', 'varchar(24)', (column) => column.notNull())
    .addColumn('cpu', 'double precision')
    .addColumn('load', 'double precision')
    .addColumn('memory_total_bytes', 'bigint')
    .addColumn('memory_available_bytes', 'bigint')
    .addColumn('received_bytes_per_second', 'double precision')
    .addColumn('sent_bytes_per_second', 'double precision')
    .addColumn('rtt_ms', 'double precision')
    .addColumn('tasks_running', 'integer')
    .addPrimaryKeyConstraint('pk_agent_health', ['agent_id', 'at'])
    .execute();
  await db.schema.createIndex('idx_agent_health_at').on('agent_health').column('at').execute();

  await db.schema
    .createTable('agent_settings')
    .addColumn('agent_id', 'varchar(255)', (column) => column.primaryKey().references('agents.agent_id'))
    .addColumn('heartbeat_interval', 'double precision')
    .addColumn('command_timeout', 'double precision')
    .addColumn('state', 'varchar(16)', (column) => column.notNull())
    .addColumn('applied', 'text')
    .addColumn('reason', 'text')
    .addColumn('updated_at', 'varchar(24)', (column) => column.notNull())
    .addColumn('answered_at', 'varchar(24)')
    .execute();
}

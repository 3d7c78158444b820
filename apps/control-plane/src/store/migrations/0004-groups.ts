import type { Kysely } from 'kysely';
import { bytesType } from './column-types.ts';

/** Groups, and what was asked of many agents at once: a run, and a row for each of its targets. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const { schema } = db;
  await schema
    .createTable('groups')
    .addColumn('id', 'varchar(36)', (column) => column.primaryKey())
    .addColumn('name', 'varchar(63)', (column) => column.notNull().unique())
    .addColumn('selector', 'varchar(2048)', (column) => column.notNull())
    .addColumn('description', 'varchar(255)', (column) => column.notNull())
    .addColumn('created_by', 'varchar(255)', (column) => column.notNull())
    .addColumn('created_at', 'varchar(24)', (column) => column.notNull())
    .addColumn('updated_at', 'varchar(24)', (column) => column.notNull())
    .execute();

  await schema
    .createTable('bulk_runs')
    .addColumn('id', 'varchar(36)', (column) => column.primaryKey())
    .addColumn('state', 'varchar(16)', (column) => column.notNull())
    .addColumn('group_name', 'varchar(63)')
    .addColumn('selector', 'varchar(2048)')
    .addColumn('operation', 'varchar(64)', (column) => column.notNull())
    .addColumn('provider', 'varchar(32)')
    .addColumn('mode', 'varchar(64)')
    .addColumn('model', 'varchar(128)')
    .addColumn('content', bytesType(db))
    .addColumn('timeout_seconds', 'integer', (column) => column.notNull())
    .addColumn('queue_if_offline', 'integer', (column) => column.notNull())
    .addColumn('ttl_seconds', 'integer', (column) => column.notNull())
    .addColumn('concurrency', 'integer', (column) => column.notNull())
    .addColumn('failures_max', 'integer')
    .addColumn('created_by', 'varchar(255)', (column) => column.notNull())
    .addColumn('created_at', 'varchar(24)', (column) => column.notNull())
    .addColumn('ended_at', 'varchar(24)')
    .execute();
  await schema.createIndex('idx_bulk_runs_state').on('bulk_runs').column('state').execute();

  await schema
    .createTable('bulk_targets')
    .addColumn('run_id', 'varchar(36)', (column) => column.notNull().references('bulk_runs.id'))
    .addColumn('position', 'integer', (column) => column.notNull())
    .addColumn('agent_id', 'varchar(255)', (column) => column.notNull().references('agents.agent_id'))
    .addColumn('agent_name', 'varchar(255)', (column) => column.notNull())
    .addColumn('state', 'varchar(16)', (column) => column.notNull())
    .addColumn('command_id', 'varchar(36)')
    .addColumn('task_id', 'varchar(36)')
    .addColumn('error_code', 'varchar(64)')
    .addColumn('error_message', 'text')
    .addColumn('is_recorded', 'integer', (column) => column.notNull())
    .addColumn('started_at', 'varchar(24)')
    .addColumn('ended_at', 'varchar(24)')
    .addPrimaryKeyConstraint('pk_bulk_targets', ['run_id', 'position'])
    .execute();
  await schema.createIndex('idx_bulk_targets_state').on('bulk_targets').columns(['run_id', 'state']).execute();
}

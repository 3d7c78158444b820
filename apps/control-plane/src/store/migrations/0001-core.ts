import type { Kysely } from 'kysely';
import { bytesType, nowDefault } from './column-types.ts';

/** Agents, their journals and events, tokens, commands and tasks. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const { schema } = db;
  await schema
    .createTable('agents')
    .addColumn('agent_id', 'varchar(255)', (column) => column.primaryKey())
    .addColumn('name', 'varchar(64)', (column) => column.notNull().unique())
    .addColumn('labels', 'text', (column) => column.notNull())
    .addColumn('public_key', 'varchar(64)')
    .addColumn('auth_token_hash', 'varchar(255)', (column) => column.notNull())
    .addColumn('auth_token_expires_at', 'varchar(24)')
    .addColumn('status', 'varchar(50)', (column) => column.notNull().defaultTo('disconnected'))
    .addColumn('version', 'varchar(64)')
    .addColumn('os', 'varchar(128)')
    .addColumn('arch', 'varchar(32)')
    .addColumn('capabilities', 'text', (column) => column.notNull())
    .addColumn('epoch', 'integer', (column) => column.notNull().defaultTo(0))
    .addColumn('last_heartbeat', 'varchar(24)')
    .addColumn('connected_at', 'varchar(24)')
    .addColumn('disconnected_at', 'varchar(24)')
    .addColumn('created_at', 'varchar(24)', (column) => column.notNull().defaultTo(nowDefault(db)))
    .addColumn('updated_at', 'varchar(24)', (column) => column.notNull().defaultTo(nowDefault(db)))
    .execute();
  await schema.createIndex('idx_agent_status').on('agents').column('status').execute();
  await schema.createIndex('idx_agent_heartbeat').on('agents').column('last_heartbeat').execute();

  await schema
    .createTable('agent_journals')
    .addColumn('agent_id', 'varchar(255)', (column) => column.notNull().references('agents.agent_id'))
    .addColumn('journal_id', 'varchar(36)', (column) => column.notNull())
    .addColumn('last_event_seq', 'bigint', (column) => column.notNull())
    .addColumn('created_at', 'varchar(24)', (column) => column.notNull())
    .addPrimaryKeyConstraint('pk_agent_journals', ['agent_id', 'journal_id'])
    .execute();

  await schema
    .createTable('agent_events')
    .addColumn('id', 'varchar(36)', (column) => column.primaryKey())
    .addColumn('agent_id', 'varchar(255)', (column) => column.notNull().references('agents.agent_id'))
    .addColumn('journal_id', 'varchar(36)', (column) => column.notNull())
    .addColumn('seq', 'bigint', (column) => column.notNull())
    .addColumn('event_type', 'varchar(64)', (column) => column.notNull())
    .addColumn('event_data', 'text', (column) => column.notNull())
    .addColumn('created_at', 'varchar(24)', (column) => column.notNull())
    .addUniqueConstraint('uq_agent_events_seq', ['agent_id', 'journal_id', 'seq'])
    .execute();
  await schema.createIndex('idx_agent_events_created').on('agent_events').column('created_at').execute();

  await schema
    .createTable('join_tokens')
    .addColumn('id', 'varchar(36)', (column) => column.primaryKey())
    .addColumn('secret_hash', 'varchar(64)', (column) => column.notNull())
    .addColumn('labels', 'text', (column) => column.notNull())
    .addColumn('uses_left', 'integer', (column) => column.notNull())
    .addColumn('uses_max', 'integer', (column) => column.notNull())
    .addColumn('created_by', 'varchar(255)', (column) => column.notNull())
    .addColumn('created_at', 'varchar(24)', (column) => column.notNull())
    .addColumn('expires_at', 'varchar(24)', (column) => column.notNull())
    .addColumn('revoked_at', 'varchar(24)')
    .execute();

  await schema
    .createTable('api_tokens')
    .addColumn('id', 'varchar(36)', (column) => column.primaryKey())
    .addColumn('name', 'varchar(100)', (column) => column.notNull())
    .addColumn('secret_hash', 'varchar(64)', (column) => column.notNull().unique())
    .addColumn('created_at', 'varchar(24)', (column) => column.notNull())
    .addColumn('expires_at', 'varchar(24)')
    .addColumn('last_used_at', 'varchar(24)')
    .execute();

  await schema
    .createTable('sign_in_sessions')
    .addColumn('id_hash', 'varchar(64)', (column) => column.primaryKey())
    .addColumn('created_at', 'varchar(24)', (column) => column.notNull())
    .addColumn('expires_at', 'varchar(24)', (column) => column.notNull())
    .execute();

  await schema
    .createTable('commands')
    .addColumn('id', 'varchar(36)', (column) => column.primaryKey())
    .addColumn('agent_id', 'varchar(255)', (column) => column.notNull().references('agents.agent_id'))
    .addColumn('operation', 'varchar(64)', (column) => column.notNull())
    .addColumn('state', 'varchar(20)', (column) => column.notNull())
    .addColumn('params', 'text')
    .addColumn('content', bytesType(db))
    .addColumn('journal_id', 'varchar(36)')
    .addColumn('queue_if_offline', 'integer', (column) => column.notNull())
    .addColumn('timeout_seconds', 'integer', (column) => column.notNull())
    .addColumn('created_by', 'varchar(255)', (column) => column.notNull())
    .addColumn('created_at', 'varchar(24)', (column) => column.notNull())
    .addColumn('expires_at', 'varchar(24)', (column) => column.notNull())
    .addColumn('deadline_at', 'varchar(24)')
    .addColumn('delivered_at', 'varchar(24)')
    .addColumn('started_at', 'varchar(24)')
    .addColumn('ended_at', 'varchar(24)')
    .addColumn('cancel_requested_at', 'varchar(24)')
    .addColumn('result', 'text')
    .addColumn('error_code', 'varchar(64)')
    .addColumn('error_message', 'text')
    .execute();
  await schema.createIndex('idx_commands_agent_state').on('commands').columns(['agent_id', 'state']).execute();
  await schema.createIndex('idx_commands_state_expires').on('commands').columns(['state', 'expires_at']).execute();

  await schema
    .createTable('tasks')
    .addColumn('id', 'varchar(36)', (column) => column.primaryKey())
    .addColumn('command_id', 'varchar(36)', (column) => column.notNull().unique().references('commands.id'))
    .addColumn('agent_id', 'varchar(255)', (column) => column.notNull().references('agents.agent_id'))
    .addColumn('provider', 'varchar(32)', (column) => column.notNull())
    .addColumn('mode', 'varchar(64)')
    .addColumn('model', 'varchar(128)')
    .addColumn('state', 'varchar(20)', (column) => column.notNull())
    .addColumn('instructions_bytes', 'integer', (column) => column.notNull())
    .addColumn('instructions_sha256', 'varchar(64)', (column) => column.notNull())
    .addColumn('timeout_seconds', 'integer', (column) => column.notNull())
    .addColumn('created_by', 'varchar(255)', (column) => column.notNull())
    .addColumn('idempotency_key', 'varchar(255)')
    .addColumn('request_sha256', 'varchar(64)', (column) => column.notNull())
    .addColumn('created_at', 'varchar(24)', (column) => column.notNull())
    .addColumn('started_at', 'varchar(24)')
    .addColumn('ended_at', 'varchar(24)')
    .addColumn('exit_code', 'bigint')
    .addColumn('signal', 'varchar(32)')
    .addColumn('output_bytes', 'bigint')
    .addColumn('output_sha256', 'varchar(64)')
    .addColumn('result_bytes', 'bigint')
    .addColumn('error_code', 'varchar(64)')
    .addColumn('error_message', 'text')
    .execute();
  await schema.createIndex('idx_tasks_agent').on('tasks').columns(['agent_id', 'id']).execute();
  await schema
    .createIndex('uq_tasks_idempotency')
    .on('tasks')
    .columns(['created_by', 'idempotency_key'])
    .unique()
    .execute();
}

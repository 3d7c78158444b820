import type { Schema } from './schema.ts';

/**
 * Every table with its primary key, in the order in which rows can be put back: a table comes after those it refers to. Held to the
 * schema by the compiler, and to the database by a test.
 */
export const BACKUP_TABLES = {
  users: ['id'],
  roles: ['name'],
  role_bindings: ['user_id', 'role', 'selector'],
  sign_in_sessions: ['id_hash'],
  api_tokens: ['id'],
  join_tokens: ['id'],
  groups: ['id'],
  agents: ['agent_id'],
  docker_hosts: ['id'],
  agent_labels: ['agent_id', 'key'],
  agent_settings: ['agent_id'],
  agent_health: ['agent_id', 'at'],
  agent_journals: ['agent_id', 'journal_id'],
  agent_events: ['id'],
  commands: ['id'],
  tasks: ['id'],
  bulk_runs: ['id'],
  bulk_targets: ['run_id', 'position'],
  idempotency_keys: ['actor', 'key'],
  tunnel_leases: ['tunnel_id'],
  audit_records: ['seq'],
  audit_checkpoints: ['seq'],
  audit_head: ['id'],
} as const satisfies Record<keyof Schema, readonly string[]>;

/** Columns that refer to a later table: put back as null, and filled in at the end. */
export const LATER_COLUMNS: Readonly<Record<string, { readonly key: string; readonly column: string }>> = {
  agents: { key: 'agent_id', column: 'host_id' },
};

/** The names of all tables, in the order of `BACKUP_TABLES`. */
export const BACKUP_TABLE_NAMES = Object.keys(BACKUP_TABLES).filter(isBackupTable);

function isBackupTable(name: string): name is keyof Schema {
  return Object.hasOwn(BACKUP_TABLES, name);
}

import type { Insertable, Kysely } from 'kysely';
import { BACKUP_TABLE_NAMES } from '../store/backup-tables.ts';
import { BackupRepository } from '../store/backup-repository.ts';
import type { AnyRow } from '../store/backup-repository.ts';
import type { Schema } from '../store/schema.ts';
import type { Db } from '../store/store.ts';

const AT = '2026-01-07T10:00:00.000Z';
const LATER = '2099-01-01T00:00:00.000Z';
const AGENT = 'agent-1';
const BYTES = Uint8Array.from({ length: 300 }, (_, index) => index % 256);
const ODD_TEXT = 'Zoë „quoted“ \\ "\n\t\u2028 😀';
const HASH = 'a'.repeat(64);

type Rows = { readonly [Table in keyof Schema]: readonly Insertable<Schema[Table]>[] };

const command = (id: string, state: Schema['commands']['state'], content: Uint8Array | null) => ({
  id,
  agent_id: AGENT,
  operation: 'task.start',
  state,
  params: null,
  content,
  journal_id: null,
  queue_if_offline: 1,
  timeout_seconds: 60,
  created_by: 'user:u1',
  created_at: AT,
  expires_at: LATER,
  deadline_at: null,
  delivered_at: null,
  started_at: null,
  ended_at: state === 'succeeded' ? AT : null,
  cancel_requested_at: null,
  result: null,
  error_code: null,
  error_message: null,
});

const task = (id: string, state: string) => ({
  id: `task-of-${id}`,
  command_id: id,
  agent_id: AGENT,
  provider: 'shell',
  state,
  instructions_bytes: 4,
  instructions_sha256: HASH,
  timeout_seconds: 60,
  created_by: 'user:u1',
  request_sha256: HASH,
  created_at: AT,
  ended_at: state === 'succeeded' ? AT : null,
  exit_code: state === 'succeeded' ? 2 ** 40 : null,
});

const agent = (agentId: string, hostId: string | null) => ({
  agent_id: agentId,
  name: `name of ${agentId}`,
  labels: '{"site":"lab"}',
  auth_token_hash: HASH,
  status: 'disconnected' as const,
  capabilities: '[]',
  host_id: hostId,
  created_at: AT,
  updated_at: AT,
});

const joinToken = (id: string, usesLeft: number) => ({
  id,
  secret_hash: HASH,
  labels: '{}',
  uses_left: usesLeft,
  uses_max: 5,
  created_by: 'user:u1',
  created_at: AT,
  expires_at: LATER,
});

const target = (position: number, state: Schema['bulk_targets']['state']) => ({
  run_id: 'run-1',
  position,
  agent_id: AGENT,
  agent_name: 'one',
  state,
  is_recorded: 0,
});

const lease = (id: string, state: Schema['tunnel_leases']['state']) => ({
  tunnel_id: id,
  agent_id: AGENT,
  assigned_port: 30_000,
  protocol: 'tcp',
  domain: 'tcp',
  target: '{"host":"127.0.0.1","port":22}',
  metadata: '{}',
  operator_id: 'user:u1',
  operator_name: 'ann',
  state,
  epoch: 7,
  idle_timeout: 0.5,
  grace_timeout: 3600,
  created_at: AT,
  expires_at: LATER,
  last_activity_at: AT,
  bytes_up: Number.MAX_SAFE_INTEGER,
  bytes_down: 0,
  close_code: state === 'closed' ? 0 : null,
  close_reason: state === 'closed' ? ODD_TEXT : null,
  ended_at: state === 'closed' ? AT : null,
});

/** For tests: rows of every table, with every kind of value, and every state that a restore changes. */
export const ROWS: Rows = {
  users: [{ id: 'u1', name: 'ann', password_hash: '$argon2id$', created_at: AT, updated_at: AT }],
  roles: [{ name: 'nightly', description: ODD_TEXT, verbs: '["task.run"]', created_at: AT }],
  role_bindings: [
    { user_id: 'u1', role: 'admin', selector: '' },
    { user_id: 'u1', role: 'admin', selector: 'site=lab' },
  ],
  sign_in_sessions: [
    { id_hash: HASH, user_id: 'u1', label: 'x', method: 'link', created_at: AT, last_used_at: AT, expires_at: LATER },
  ],
  api_tokens: [{ id: 't1', name: 'ci', secret_hash: HASH, user_id: 'u1', selector: '', created_at: AT }],
  join_tokens: [joinToken('j1', 0), joinToken('j2', 3)],
  groups: [
    {
      id: 'g1',
      name: 'lab',
      selector: 'site=lab',
      description: '',
      created_by: 'user:u1',
      created_at: AT,
      updated_at: AT,
    },
  ],
  agents: [agent(AGENT, 'host-1'), agent('agent-2', null)],
  docker_hosts: [
    { id: 'host-1', name: 'docker', connection_mode: 'agent', agent_id: AGENT, created_at: AT, updated_at: AT },
  ],
  agent_labels: [{ agent_id: AGENT, key: 'site', value: 'lab' }],
  agent_settings: [{ agent_id: AGENT, heartbeat_interval: 1.5, command_timeout: 60, state: 'applied', updated_at: AT }],
  agent_health: [{ agent_id: AGENT, at: AT, cpu: 0.1 + 0.2, load: 1, memory_total_bytes: Number.MAX_SAFE_INTEGER }],
  agent_journals: [{ agent_id: AGENT, journal_id: 'journal-1', last_event_seq: 7, created_at: AT }],
  // More than a page, in another order than they sort.
  agent_events: Array.from({ length: 250 }, (_, index) => ({
    id: `event-${(index * 7) % 250}`,
    agent_id: AGENT,
    journal_id: 'journal-1',
    seq: index + 1,
    event_type: index % 2 === 0 ? 'B' : 'a',
    event_data: JSON.stringify({ text: ODD_TEXT, index }),
    created_at: AT,
  })),
  commands: [
    command('c-done', 'succeeded', null),
    command('c-queued', 'queued', BYTES),
    command('c-delivered', 'delivered', BYTES),
    command('c-running', 'running', new Uint8Array()),
  ],
  tasks: [task('c-done', 'succeeded'), task('c-queued', 'queued'), task('c-running', 'waiting')],
  bulk_runs: [
    {
      id: 'run-1',
      state: 'running',
      operation: 'task.start',
      content: BYTES,
      timeout_seconds: 60,
      queue_if_offline: 1,
      ttl_seconds: 60,
      concurrency: 1,
      created_by: 'user:u1',
      created_at: AT,
    },
  ],
  bulk_targets: [target(0, 'succeeded'), target(1, 'started'), target(2, 'waiting')],
  idempotency_keys: [
    { actor: 'user:u1', key: 'k', request_sha256: BYTES, state: 'done', status: 201, answer: BYTES, created_at: AT },
  ],
  tunnel_leases: [lease('l-active', 'active'), lease('l-closed', 'closed')],
  audit_records: [],
  audit_checkpoints: [],
  audit_head: [],
};

/** For tests: puts `ROWS` into a new store. What refers to a later row is filled in at the end. */
export async function fillStore(db: Kysely<Schema>): Promise<void> {
  const repository = new BackupRepository(db);
  for (const table of BACKUP_TABLE_NAMES) {
    for (const row of ROWS[table]) {
      // A row of some table: which one, its type does not say.
      const given = row as unknown as AnyRow;
      const whole: AnyRow = table === 'agents' ? { ...given, host_id: null } : given;
      await repository.insert(table, Object.keys(whole), [whole]);
    }
  }
  await db.updateTable('agents').set({ host_id: 'host-1' }).where('agent_id', '=', AGENT).execute();
}

/** For tests: every row of every table. */
export async function dump(db: Db): Promise<Record<string, readonly AnyRow[]>> {
  const repository = new BackupRepository(db);
  const tables: Record<string, readonly AnyRow[]> = {};
  for (const table of BACKUP_TABLE_NAMES) tables[table] = (await Array.fromAsync(repository.pages(table))).flat();
  return tables;
}

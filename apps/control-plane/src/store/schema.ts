import type { Generated } from 'kysely';
import type { BulkRunsTable, BulkTargetsTable, GroupsTable } from './bulk-schema.ts';
import type { TunnelLeasesTable } from './tunnel-schema.ts';

// Times are UTC text as `Date.prototype.toISOString` prints it: it sorts, and reads the same on both engines.
// JSON columns are text and go through `json-codec.ts`.

export interface AgentsTable {
  agent_id: string;
  name: string;
  labels: string;
  /** Raw Ed25519 public key, base64url; null for an agent that signs in with an API key. */
  public_key: string | null;
  /** SHA-256 of the public key, or of the API key, in hex: never the credential itself. */
  auth_token_hash: string;
  auth_token_expires_at: string | null;
  status: 'connected' | 'disconnected' | 'revoked';
  version: string | null;
  os: string | null;
  arch: string | null;
  capabilities: string;
  /** Fences writes: each connection of the agent gets the next one (PROTOCOL.md §2.1). */
  epoch: Generated<number>;
  /** The Docker host it serves, if one is set up. */
  host_id: string | null;
  /** Tells the machine from others, to this control plane alone; null when the agent does not say. */
  machine_id: string | null;
  last_heartbeat: string | null;
  connected_at: string | null;
  disconnected_at: string | null;
  created_at: string;
  updated_at: string;
}

/** The journals an agent ever came with, and the last event stored under each. */
export interface AgentJournalsTable {
  agent_id: string;
  journal_id: string;
  last_event_seq: number;
  created_at: string;
}

export interface AgentEventsTable {
  id: string;
  agent_id: string;
  journal_id: string;
  seq: number;
  event_type: string;
  event_data: string;
  created_at: string;
}

export interface JoinTokensTable {
  id: string;
  secret_hash: string;
  labels: string;
  uses_left: number;
  uses_max: number;
  created_by: string;
  created_at: string;
  expires_at: string;
  revoked_at: string | null;
}

export interface ApiTokensTable {
  id: string;
  name: string;
  secret_hash: string;
  user_id: string;
  /** The verbs it is limited to, as JSON; null: whatever its owner may. */
  verbs: string | null;
  selector: string;
  created_at: string;
  expires_at: string | null;
  last_used_at: string | null;
  revoked_at: string | null;
}

export interface SignInSessionsTable {
  /** SHA-256 of the session's token, in hex. */
  id_hash: string;
  user_id: string;
  /** What signed in, in its own words. */
  label: string;
  method: 'link' | 'password' | 'browser';
  address: string | null;
  created_at: string;
  last_used_at: string;
  expires_at: string;
}

export interface UsersTable {
  id: string;
  name: string;
  /** Argon2id in the PHC string format; null for one who has none (yet). */
  password_hash: string | null;
  disabled_at: string | null;
  last_sign_in_at: string | null;
  created_at: string;
  updated_at: string;
}

/** Roles made by people; the built-in ones are code. */
export interface RolesTable {
  name: string;
  description: string;
  verbs: string;
  created_at: string;
}

export interface RoleBindingsTable {
  user_id: string;
  role: string;
  selector: string;
}

/** The labels of an agent, one row each: what selectors are matched against. */
export interface AgentLabelsTable {
  agent_id: string;
  key: string;
  value: string;
}

export interface DockerHostsTable {
  id: string;
  name: string;
  connection_mode: Generated<'direct' | 'agent'>;
  agent_id: string | null;
  url: string | null;
  created_at: string;
  updated_at: string;
}

export interface CommandsTable {
  id: string;
  agent_id: string;
  operation: string;
  state: 'queued' | 'delivered' | 'running' | 'succeeded' | 'failed' | 'cancelled' | 'expired' | 'indeterminate';
  /** Parameters that hold no content, as JSON. */
  params: string | null;
  /** Parameters that hold content, sealed; null once the agent has acknowledged them. */
  content: Uint8Array | null;
  /** The agent's journal under which the command was first delivered. */
  journal_id: string | null;
  queue_if_offline: number;
  timeout_seconds: number;
  created_by: string;
  created_at: string;
  /** When a command still queued expires. */
  expires_at: string;
  /** When a command without an outcome is given up; null when the agent alone keeps its time. */
  deadline_at: string | null;
  delivered_at: string | null;
  started_at: string | null;
  ended_at: string | null;
  cancel_requested_at: string | null;
  result: string | null;
  error_code: string | null;
  error_message: string | null;
}

export interface TasksTable {
  id: string;
  command_id: string;
  agent_id: string;
  provider: string;
  mode: string | null;
  model: string | null;
  state: string;
  instructions_bytes: number;
  instructions_sha256: string;
  timeout_seconds: number;
  created_by: string;
  idempotency_key: string | null;
  /** SHA-256 of the request that made it: the same key with another request is refused. */
  request_sha256: string;
  created_at: string;
  started_at: string | null;
  ended_at: string | null;
  exit_code: number | null;
  signal: string | null;
  output_bytes: number | null;
  output_sha256: string | null;
  result_bytes: number | null;
  error_code: string | null;
  error_message: string | null;
}

export interface AuditRecordsTable {
  /** From 1, without a gap. */
  seq: number;
  id: string;
  at: string;
  actor: string;
  actor_name: string | null;
  verb: string;
  resource: string | null;
  agent_id: string | null;
  address: string | null;
  request_id: string | null;
  result: string;
  reason: string | null;
  /** Canonical JSON. */
  details: string;
  previous_hash: string;
  hash: string;
}

export interface AuditCheckpointsTable {
  seq: number;
  hash: string;
  at: string;
  /** Records since the checkpoint before. */
  count: number;
  signature: string;
}

/** One row, `id` 1: whoever appends locks it first. */
export interface AuditHeadTable {
  id: number;
  seq: number;
  hash: string;
  checkpoint_seq: number;
}

/** One row for each agent and five minutes in which it was there. What it said of itself; null: it did not say. */
export interface AgentHealthTable {
  agent_id: string;
  at: string;
  cpu: number | null;
  load: number | null;
  memory_total_bytes: number | null;
  memory_available_bytes: number | null;
  received_bytes_per_second: number | null;
  sent_bytes_per_second: number | null;
  rtt_ms: number | null;
  tasks_running: number | null;
}

/** What an agent is to do differently from others, and what it answered. */
export interface AgentSettingsTable {
  agent_id: string;
  heartbeat_interval: number | null;
  command_timeout: number | null;
  state: 'pending' | 'applied' | 'refused';
  /** What the agent says that it does now, as JSON. */
  applied: string | null;
  reason: string | null;
  updated_at: string;
  answered_at: string | null;
}

export interface IdempotencyKeysTable {
  actor: string;
  key: string;
  /** Of the request, in hex, sealed. */
  request_sha256: Uint8Array;
  state: 'running' | 'done';
  status: number | null;
  /** What the request was answered, sealed; null while it is under way. */
  answer: Uint8Array | null;
  created_at: string;
}

/** Every table of the store. */
export interface Schema {
  agents: AgentsTable;
  agent_journals: AgentJournalsTable;
  agent_events: AgentEventsTable;
  join_tokens: JoinTokensTable;
  api_tokens: ApiTokensTable;
  sign_in_sessions: SignInSessionsTable;
  users: UsersTable;
  roles: RolesTable;
  role_bindings: RoleBindingsTable;
  agent_labels: AgentLabelsTable;
  docker_hosts: DockerHostsTable;
  audit_records: AuditRecordsTable;
  audit_checkpoints: AuditCheckpointsTable;
  audit_head: AuditHeadTable;
  groups: GroupsTable;
  bulk_runs: BulkRunsTable;
  bulk_targets: BulkTargetsTable;
  agent_health: AgentHealthTable;
  agent_settings: AgentSettingsTable;
  idempotency_keys: IdempotencyKeysTable;
  tunnel_leases: TunnelLeasesTable;
  commands: CommandsTable;
  tasks: TasksTable;
}

import type { Generated } from 'kysely';

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
  created_at: string;
  expires_at: string | null;
  last_used_at: string | null;
}

export interface SignInSessionsTable {
  /** SHA-256 of the cookie's value, in hex. */
  id_hash: string;
  created_at: string;
  expires_at: string;
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

/** Every table of the store. */
export interface Schema {
  agents: AgentsTable;
  agent_journals: AgentJournalsTable;
  agent_events: AgentEventsTable;
  join_tokens: JoinTokensTable;
  api_tokens: ApiTokensTable;
  sign_in_sessions: SignInSessionsTable;
  commands: CommandsTable;
  tasks: TasksTable;
}

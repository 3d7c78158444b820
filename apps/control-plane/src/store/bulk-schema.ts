/** A selector under a name. */
export interface GroupsTable {
  id: string;
  name: string;
  selector: string;
  description: string;
  created_by: string;
  created_at: string;
  updated_at: string;
}

/** One operation, or one task, for many agents. */
export interface BulkRunsTable {
  id: string;
  state: 'running' | 'stopping' | 'cancelling' | 'succeeded' | 'failed' | 'stopped' | 'cancelled';
  /** The group it was asked for, by the name of then; null when a selector or a list of agents was given. */
  group_name: string | null;
  /** What chose the agents when it was made; null for a list of agents. */
  selector: string | null;
  operation: string;
  provider: string | null;
  mode: string | null;
  model: string | null;
  /** Parameters, or the instructions of a task, sealed; null once the last target has started. */
  content: Uint8Array | null;
  timeout_seconds: number;
  queue_if_offline: number;
  ttl_seconds: number;
  /** Targets that may be unfinished at once. */
  concurrency: number;
  /** With more failures than this nothing more is started; null: whatever fails, the rest goes on. */
  failures_max: number | null;
  created_by: string;
  created_at: string;
  ended_at: string | null;
}

/** One agent of a bulk run. */
export interface BulkTargetsTable {
  run_id: string;
  /** From 0, in the order in which they are started. */
  position: number;
  agent_id: string;
  /** As it was called when the run was made. */
  agent_name: string;
  state:
    | 'waiting'
    | 'started'
    | 'succeeded'
    | 'failed'
    | 'cancelled'
    | 'expired'
    | 'timed_out'
    | 'indeterminate'
    | 'refused'
    | 'skipped';
  /** Set in the transaction that stores the command: a target that has one is never started again. */
  command_id: string | null;
  task_id: string | null;
  error_code: string | null;
  error_message: string | null;
  /** 1 once the audit log knows that it was started, or refused. */
  is_recorded: number;
  started_at: string | null;
  ended_at: string | null;
}

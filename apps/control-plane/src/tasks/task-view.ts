import type { TaskRow } from '../store/tasks-repository.ts';

/** A task as the API shows it: what the control plane knows, and nothing of what was said in it. */
export interface TaskView {
  readonly id: string;
  readonly agent_id: string;
  readonly provider: string;
  readonly mode: string | null;
  readonly model: string | null;
  readonly state: string;
  readonly timeout_seconds: number;
  readonly instructions_bytes: number;
  readonly instructions_sha256: string;
  readonly created_at: string;
  readonly started_at: string | null;
  readonly ended_at: string | null;
  readonly exit_code: number | null;
  readonly signal: string | null;
  readonly output_bytes: number | null;
  readonly output_sha256: string | null;
  readonly result_bytes: number | null;
  readonly error: { readonly code: string; readonly message: string } | null;
}

export function taskView(row: TaskRow): TaskView {
  return {
    id: row.id,
    agent_id: row.agent_id,
    provider: row.provider,
    mode: row.mode,
    model: row.model,
    state: row.state,
    timeout_seconds: row.timeout_seconds,
    instructions_bytes: row.instructions_bytes,
    instructions_sha256: row.instructions_sha256,
    created_at: row.created_at,
    started_at: row.started_at,
    ended_at: row.ended_at,
    exit_code: row.exit_code,
    signal: row.signal,
    output_bytes: row.output_bytes,
    output_sha256: row.output_sha256,
    result_bytes: row.result_bytes,
    error: row.error_code === null ? null : { code: row.error_code, message: row.error_message ?? '' },
  };
}

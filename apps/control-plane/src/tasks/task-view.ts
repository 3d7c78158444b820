import { TaskState } from '@drawbridge/protocol';
import type { TaskView } from '@drawbridge/protocol/api';
import type { TaskRow } from '../store/tasks-repository.ts';

/** A task as the API shows it. */
export function taskView(row: TaskRow): TaskView {
  return {
    id: row.id,
    agent_id: row.agent_id,
    provider: row.provider,
    mode: row.mode,
    model: row.model,
    state: TaskState.parse(row.state),
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

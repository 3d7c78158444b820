import type { CommandRow } from '../store/commands-repository.ts';

/** A command as the API shows it. Parameters are left out: they may hold what only the agent may keep. */
export interface CommandView {
  readonly id: string;
  readonly agent_id: string;
  readonly operation: string;
  readonly state: CommandRow['state'];
  readonly created_at: string;
  readonly ended_at: string | null;
  readonly cancel_requested: boolean;
  readonly data?: unknown;
  readonly error?: { readonly code: string; readonly message: string };
}

export function commandView(row: CommandRow): CommandView {
  return {
    id: row.id,
    agent_id: row.agent_id,
    operation: row.operation,
    state: row.state,
    created_at: row.created_at,
    ended_at: row.ended_at,
    cancel_requested: row.cancel_requested_at !== null,
    ...(row.result === null ? {} : { data: JSON.parse(row.result) as unknown }),
    ...(row.error_code === null ? {} : { error: { code: row.error_code, message: row.error_message ?? '' } }),
  };
}

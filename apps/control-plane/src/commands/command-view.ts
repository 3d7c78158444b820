import type { CommandView } from '@drawbridge/protocol/api';
import type { CommandRow } from '../store/commands-repository.ts';

/** A command as the API shows it. */
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

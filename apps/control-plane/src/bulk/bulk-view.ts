import { BULK_TARGET_STATES } from '@drawbridge/protocol/api';
import type { BulkRunView, BulkTargetState, BulkTargetView } from '@drawbridge/protocol/api';
import type { BulkRunRow } from '../store/bulk-runs-repository.ts';
import type { BulkTargetRow, TargetCount } from '../store/bulk-targets-repository.ts';

/** A run as the API shows it, with the counts that are its own among `counts`. */
export function bulkRunView(row: BulkRunRow, counts: readonly TargetCount[]): BulkRunView {
  return {
    id: row.id,
    state: row.state,
    group: row.group_name,
    selector: row.selector,
    operation: row.operation,
    provider: row.provider,
    mode: row.mode,
    model: row.model,
    timeout_seconds: row.timeout_seconds,
    queue_if_offline: row.queue_if_offline === 1,
    ttl_seconds: row.ttl_seconds,
    concurrency: row.concurrency,
    failures_max: row.failures_max,
    created_by: row.created_by,
    created_at: row.created_at,
    ended_at: row.ended_at,
    targets: countsByState(counts.filter(({ run_id: runId }) => runId === row.id)),
  };
}

/** A number for every state, those that are not counted being 0. */
export function countsByState(counts: readonly TargetCount[]): Record<BulkTargetState, number> {
  const byState = new Map(counts.map(({ state, count }) => [state, count]));
  const entries = BULK_TARGET_STATES.map((state) => [state, byState.get(state) ?? 0] as const);
  return Object.fromEntries(entries) as Record<BulkTargetState, number>;
}

/** A target as the API shows it. */
export function bulkTargetView(row: BulkTargetRow): BulkTargetView {
  return {
    position: row.position,
    agent_id: row.agent_id,
    agent_name: row.agent_name,
    state: row.state,
    command_id: row.command_id,
    task_id: row.task_id,
    error: row.error_code === null ? null : { code: row.error_code, message: row.error_message ?? '' },
    started_at: row.started_at,
    ended_at: row.ended_at,
  };
}

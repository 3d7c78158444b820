import { z } from 'zod';
import { Time } from './common.ts';

/** Where a bulk run stands. */
export const BULK_RUN_STATES = [
  'running',
  'stopping',
  'cancelling',
  'succeeded',
  'failed',
  'stopped',
  'cancelled',
] as const;

/** Where one of its targets stands. */
export const BULK_TARGET_STATES = [
  'waiting',
  'started',
  'succeeded',
  'failed',
  'cancelled',
  'expired',
  'timed_out',
  'indeterminate',
  'refused',
  'skipped',
] as const;
export const BulkTargetState = z.enum(BULK_TARGET_STATES);
export type BulkTargetState = z.infer<typeof BulkTargetState>;

/** Bounds of a request for a bulk run. */
export const BULK_LIMITS = {
  /** Agents of one run; a selector that reaches more is refused. */
  targetsMax: 5_000,
  concurrencyMax: 100,
  concurrencyDefault: 10,
} as const;

/** One operation, or one task, for many agents. `targets` counts those the caller may see, by their state. */
export const BulkRunView = z.object({
  id: z.string(),
  state: z.enum(BULK_RUN_STATES),
  group: z.string().nullable(),
  selector: z.string().nullable(),
  operation: z.string(),
  provider: z.string().nullable(),
  mode: z.string().nullable(),
  model: z.string().nullable(),
  timeout_seconds: z.number(),
  queue_if_offline: z.boolean(),
  ttl_seconds: z.number(),
  concurrency: z.number(),
  failures_max: z.number().nullable(),
  created_by: z.string(),
  created_at: Time,
  ended_at: Time.nullable(),
  targets: z.record(BulkTargetState, z.number()),
});
export type BulkRunView = z.infer<typeof BulkRunView>;

/** One agent of a bulk run. Its command or task has the details. */
export const BulkTargetView = z.object({
  position: z.number(),
  agent_id: z.string(),
  agent_name: z.string(),
  state: BulkTargetState,
  command_id: z.string().nullable(),
  task_id: z.string().nullable(),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
  started_at: Time.nullable(),
  ended_at: Time.nullable(),
});
export type BulkTargetView = z.infer<typeof BulkTargetView>;

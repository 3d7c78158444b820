import { z } from 'zod';
import { TaskState } from '../operations/task.ts';
import { Time } from './common.ts';

const Failure = z.object({ code: z.string(), message: z.string() });

/** Where a command stands (PROTOCOL.md §2.4). */
export const COMMAND_STATES = [
  'queued',
  'delivered',
  'running',
  'succeeded',
  'failed',
  'cancelled',
  'expired',
  'indeterminate',
] as const;

/** A command and how it ended. Parameters are left out: they may hold what only the agent may keep. */
export const CommandView = z.object({
  id: z.string(),
  agent_id: z.string(),
  operation: z.string(),
  state: z.enum(COMMAND_STATES),
  created_at: Time,
  ended_at: Time.nullable(),
  cancel_requested: z.boolean(),
  data: z.unknown().optional(),
  error: Failure.optional(),
});
export type CommandView = z.infer<typeof CommandView>;

/** A task. Of its instructions only size and SHA-256 are known here. */
export const TaskView = z.object({
  id: z.string(),
  agent_id: z.string(),
  provider: z.string(),
  mode: z.string().nullable(),
  model: z.string().nullable(),
  state: TaskState,
  timeout_seconds: z.number(),
  instructions_bytes: z.number(),
  instructions_sha256: z.string(),
  created_at: Time,
  started_at: Time.nullable(),
  ended_at: Time.nullable(),
  exit_code: z.number().nullable(),
  signal: z.string().nullable(),
  output_bytes: z.number().nullable(),
  output_sha256: z.string().nullable(),
  result_bytes: z.number().nullable(),
  error: Failure.nullable(),
});
export type TaskView = z.infer<typeof TaskView>;

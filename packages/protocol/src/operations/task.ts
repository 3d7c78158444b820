import { z } from 'zod';
import { LIMITS } from '../limits.ts';
import { ProviderName } from '../ids.ts';
import { utf8Bytes } from '../envelope.ts';
import { ERROR_CODES } from '../errors.ts';
import { operation } from './operation.ts';

/** The instructions of a task, bounded in bytes of UTF-8. */
export const Instructions = z
  .string()
  .min(1, 'instructions are empty')
  .refine((text) => utf8Bytes(text) <= LIMITS.instructionsBytesMax, {
    message: `instructions are longer than ${LIMITS.instructionsBytesMax} bytes`,
  })
  .refine((text) => !text.includes('\0'), { message: 'instructions hold a NUL character' });

/** How long a task may run, in seconds. */
export const TaskTimeoutSeconds = z.number().int().min(1).max(LIMITS.taskTimeoutSecondsMax);

export const TaskStartParams = z.strictObject({
  task_id: z.uuid(),
  provider: ProviderName,
  instructions: Instructions,
  timeout_seconds: TaskTimeoutSeconds,
  mode: z.string().max(64).optional(),
  model: z.string().max(128).optional(),
});
export type TaskStartParams = z.infer<typeof TaskStartParams>;

/** Where a task stands (contract of the API). */
export const TASK_STATES = [
  'queued',
  'starting',
  'running',
  'waiting',
  'succeeded',
  'failed',
  'cancelled',
  'timed_out',
  'expired',
  'indeterminate',
] as const;
export const TaskState = z.enum(TASK_STATES);
export type TaskState = z.infer<typeof TaskState>;

/**
 * How a task ended. `output_bytes` and `output_sha256` describe output.log as it lies on the agent's disk; `exit_code` is
 * missing when the process never ran or was ended by a signal.
 */
export const TaskOutcome = z.object({
  task_id: z.uuid(),
  state: z.enum(['succeeded', 'failed', 'cancelled', 'timed_out']),
  exit_code: z.number().int().optional(),
  signal: z.string().max(32).optional(),
  error: z.object({ code: z.enum(ERROR_CODES), message: z.string().max(LIMITS.reasonCharactersMax) }).optional(),
  started_at: z.iso.datetime().optional(),
  ended_at: z.iso.datetime(),
  output_bytes: z.number().int().nonnegative(),
  output_sha256: z.string().regex(/^[0-9a-f]{64}$/),
  result_bytes: z.number().int().nonnegative(),
});
export type TaskOutcome = z.infer<typeof TaskOutcome>;

/** Runs one task to its end: its outcome is the command's result, whatever way the task ended. */
export const taskStart = operation({ effect: 'once', params: TaskStartParams, result: TaskOutcome, content: true });

/** The `data` of a `task.state` event. */
export const TaskStateEvent = z.object({
  task_id: z.uuid(),
  state: z.enum(['starting', 'running', 'waiting']),
  at: z.iso.datetime(),
});
export type TaskStateEvent = z.infer<typeof TaskStateEvent>;

/** The metadata of a `task` channel: which file of which task, from which offset. `follow` waits for more until the end. */
export const TaskChannelMetadata = z.object({
  task_id: z.uuid(),
  file: z.enum(['output', 'result']),
  since: z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER),
  follow: z.boolean(),
  /** Who reads, as the control plane names them. */
  actor: z.string().max(300).optional(),
});
export type TaskChannelMetadata = z.infer<typeof TaskChannelMetadata>;

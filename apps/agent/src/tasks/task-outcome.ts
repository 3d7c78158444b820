import { createHash } from 'node:crypto';
import { type ControlError, LIMITS, type TaskOutcome } from '@drawbridge/protocol';
import type { LogSummary } from './output-log.ts';
import type { ProcessExit } from './start-process.ts';

/** What is known of a task when it has ended. Whatever it never came to is undefined. */
export interface TaskEnd {
  readonly taskId: string;
  readonly error: ControlError | undefined;
  readonly exit: ProcessExit | undefined;
  readonly output: LogSummary | undefined;
  readonly resultBytes: number;
  readonly startedAt: string | undefined;
  readonly endedAt: string;
}

const NOTHING: LogSummary = { bytes: 0, sha256: createHash('sha256').digest('hex') };

/** A task's end, as it is told to the control plane. */
export function taskOutcome(end: TaskEnd): TaskOutcome {
  const { error, exit, output = NOTHING } = end;
  return {
    task_id: end.taskId,
    state: stateOf(error),
    ...(exit?.code !== undefined && { exit_code: exit.code }),
    ...(exit?.signal !== undefined && { signal: exit.signal }),
    ...(error && { error: { code: error.code, message: error.message.slice(0, LIMITS.reasonCharactersMax) } }),
    ...(end.startedAt !== undefined && { started_at: end.startedAt }),
    ended_at: end.endedAt,
    output_bytes: output.bytes,
    output_sha256: output.sha256,
    result_bytes: end.resultBytes,
  };
}

function stateOf(error: ControlError | undefined): TaskOutcome['state'] {
  if (error === undefined) return 'succeeded';
  if (error.code === 'cancelled' || error.code === 'timed_out') return error.code;
  return 'failed';
}

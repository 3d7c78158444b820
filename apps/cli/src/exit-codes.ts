import { ApiError, UnreachableError } from '@drawbridge/client';
import type { TaskView } from '@drawbridge/client';

/** What the program's exit code says (contract of the command line). `run` passes the remote one through. */
export const ExitCode = {
  Ok: 0,
  RemoteFailed: 1,
  Usage: 2,
  Forbidden: 3,
  NotFound: 4,
  Conflict: 5,
  Unreachable: 6,
  TimedOut: 7,
  Indeterminate: 8,
  Interrupted: 130,
} as const;

/** A mistake in how the command was called. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** The one mapping from what went wrong to an exit code. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return ExitCode.Usage;
  if (error instanceof UnreachableError) return ExitCode.Unreachable;
  if (!(error instanceof ApiError)) return ExitCode.RemoteFailed;
  if (error.code === 'agent_offline') return ExitCode.Unreachable;
  if (error.code === 'invalid_request') return ExitCode.Usage;
  if (error.status === 401 || error.status === 403) return ExitCode.Forbidden;
  if (error.status === 404) return ExitCode.NotFound;
  if (error.status === 409 || error.status === 429) return ExitCode.Conflict;
  if (error.status === 504) return ExitCode.TimedOut;
  return error.status >= 502 ? ExitCode.Unreachable : ExitCode.RemoteFailed;
}

/** What a task's end means for whoever ran it. */
export function exitCodeOfTask(task: TaskView): number {
  switch (task.state) {
    case 'succeeded':
      return ExitCode.Ok;
    case 'timed_out':
    case 'expired':
      return ExitCode.TimedOut;
    case 'indeterminate':
      return ExitCode.Indeterminate;
    case 'cancelled':
      return ExitCode.Interrupted;
    default:
      return task.exit_code === null || task.exit_code === 0 ? ExitCode.RemoteFailed : task.exit_code;
  }
}

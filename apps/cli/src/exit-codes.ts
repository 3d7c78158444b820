import { ApiError, ControlError, UnreachableError } from '@drawbridge/client';
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

/** There is no token to ask with. */
export class NotSignedInError extends Error {
  override readonly name = 'NotSignedInError';
}

/** Ctrl-C, where it does not end the program at once. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';

  constructor() {
    super('interrupted');
  }
}

/** The one mapping from what went wrong to an exit code. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return ExitCode.Usage;
  if (error instanceof NotSignedInError) return ExitCode.Forbidden;
  if (error instanceof Interrupted) return ExitCode.Interrupted;
  if (error instanceof UnreachableError) return ExitCode.Unreachable;
  if (error instanceof ControlError) return BY_CODE[error.code] ?? OF_TUNNEL[error.code] ?? ExitCode.RemoteFailed;
  if (!(error instanceof ApiError)) return ExitCode.RemoteFailed;
  return BY_CODE[error.code] ?? BY_STATUS[error.status] ?? exitCodeOfStatus(error.status);
}

/** Codes that say more than their status. */
const BY_CODE: Readonly<Record<string, number>> = {
  agent_offline: ExitCode.Unreachable,
  command_timeout: ExitCode.TimedOut,
  expired: ExitCode.TimedOut,
  indeterminate: ExitCode.Indeterminate,
  invalid_request: ExitCode.Usage,
  port_pool_exhausted: ExitCode.Conflict,
  spawn_failed: ExitCode.RemoteFailed,
  timed_out: ExitCode.TimedOut,
};

/** What the ends of a tunnel say, where there is no status. */
const OF_TUNNEL: Readonly<Record<string, number>> = {
  already_connected: ExitCode.Conflict,
  auth_failed: ExitCode.Forbidden,
  conflict: ExitCode.Conflict,
  domain_limit: ExitCode.Conflict,
  forbidden: ExitCode.Forbidden,
  operation_not_allowed: ExitCode.Forbidden,
  queue_full: ExitCode.Conflict,
  session_not_found: ExitCode.NotFound,
  server_draining: ExitCode.Unreachable,
  tunnel_not_found: ExitCode.NotFound,
  tunnel_unavailable: ExitCode.Unreachable,
  unauthenticated: ExitCode.Forbidden,
};

const BY_STATUS: Readonly<Record<number, number>> = {
  401: ExitCode.Forbidden,
  403: ExitCode.Forbidden,
  404: ExitCode.NotFound,
  409: ExitCode.Conflict,
  410: ExitCode.TimedOut,
  413: ExitCode.Conflict,
  422: ExitCode.Usage,
  429: ExitCode.Conflict,
  504: ExitCode.TimedOut,
};

function exitCodeOfStatus(status: number): number {
  return status === 502 || status === 503 ? ExitCode.Unreachable : ExitCode.RemoteFailed;
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

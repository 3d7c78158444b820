import { ControlError } from '@drawbridge/protocol';

/** The system's name of an error, such as `ENOENT`, when the system made it. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || !('errno' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** What the system says when there is no room: on the disk, or in the user's quota. */
const NO_ROOM: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT']);

/** What a failure of the system means to the task it met. An error that is neither the system's nor expected is a bug: it flies. */
export function taskFailureOf(error: unknown): ControlError {
  if (error instanceof ControlError) return error;
  const errno = errnoOf(error);
  if (errno === undefined || !(error instanceof Error)) throw error;
  if (NO_ROOM.has(errno)) return new ControlError('disk_full', `the disk is full: ${error.message}`, { cause: error });
  return new ControlError('internal', error.message, { cause: error });
}

import type { Clock } from '@drawbridge/link';
import { ControlError } from '@drawbridge/protocol';
import { AGENT_LIMITS } from '../limits.ts';
import { taskFailureOf } from './errno.ts';
import type { OutputCapture } from './output-capture.ts';
import type { ProcessExit, StartedProcess } from './start-process.ts';
import { type EndOptions, endTaskProcesses } from './task-processes.ts';

/** What supervising one process takes. */
export interface SuperviseOptions extends EndOptions {
  readonly taskId: string;
  readonly process: StartedProcess;
  readonly capture: OutputCapture;
  /** Wall-clock time, from now. */
  readonly timeoutMs: number;
}

/** How a task's process ended, and what stopped it if it did not end by itself. */
export interface ProcessEnd {
  /** Undefined when even SIGKILL did not end it. */
  readonly exit: ProcessExit | undefined;
  readonly stoppedBy: ControlError | undefined;
  /** False when something of the task could not be ended and may still be alive. */
  readonly allGone: boolean;
}

/**
 * `signal` aborts with a `ControlError` that says why. Stays with a process until nothing of its task is alive and all that was printed has been taken.
 *
 *   running --exit--> draining --pipes closed, or the drain bound--> ending what is left --> ended
 *      \--cancelled, out of time, too much output, disk full--> ending everything --^
 */
export async function superviseProcess(options: SuperviseOptions, signal: AbortSignal): Promise<ProcessEnd> {
  const { taskId, process, capture, clock } = options;
  const everything = { taskId, leader: process.identity, leaderIsOurs: true };
  const drained = capture.read(process.stdout, process.stderr);

  const stoppedBy = await exitOrStop(options, signal);
  if (stoppedBy !== undefined) await endTaskProcesses(everything, options);
  const exit = await within(clock, AGENT_LIMITS.killWaitMs, process.exited);

  // A background child can hold the pipes open for ever; what is merely late gets its chance, before and after its end.
  await within(clock, AGENT_LIMITS.pipeDrainMs, drained);
  const left = await endTaskProcesses(everything, options);
  await within(clock, AGENT_LIMITS.pipeDrainMs, drained);
  capture.stop();
  await drained;
  return { exit, stoppedBy: stoppedBy ?? stopReason(capture.failed), allGone: left.length === 0 };
}

/** Waits for the exit, or for the first reason to stop. A process that has exited can no longer be cancelled or late. */
async function exitOrStop(
  { process, capture, clock, timeoutMs }: SuperviseOptions,
  signal: AbortSignal,
): Promise<ControlError | undefined> {
  const overtime = new AbortController();
  const timer = clock.after(timeoutMs, () => {
    overtime.abort(new ControlError('timed_out', `the task ran for more than ${timeoutMs / 1000} s`));
  });
  const stop = AbortSignal.any([signal, capture.failed, overtime.signal]);
  const stopped = Promise.withResolvers<void>();
  stop.addEventListener('abort', () => stopped.resolve(), { once: true });
  if (stop.aborted) stopped.resolve();
  try {
    await Promise.race([process.exited, stopped.promise]);
  } finally {
    timer.cancel();
  }
  return stopReason(stop);
}

function stopReason(stop: AbortSignal): ControlError | undefined {
  return stop.aborted ? taskFailureOf(stop.reason) : undefined;
}

/** Waits for `work`, but no longer than `limitMs`. */
async function within<T>(clock: Clock, limitMs: number, work: Promise<T>): Promise<T | undefined> {
  const over = Promise.withResolvers<undefined>();
  const timer = clock.after(limitMs, () => over.resolve(undefined));
  try {
    return await Promise.race([work, over.promise]);
  } finally {
    timer.cancel();
  }
}

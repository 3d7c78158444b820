import type { Clock } from '@drawbridge/link';
import type { Logger } from '@drawbridge/runtime';
import type { AgentConfig } from './config.ts';
import type { Journal } from './journal/journal.ts';
import { Retention } from './tasks/retention.ts';
import type { TaskRunner } from './tasks/task-runner.ts';

const SWEEP_MS = 3_600_000;

export interface HousekeepingOptions {
  readonly workspaceRoot: string;
  readonly config: AgentConfig;
  readonly journal: Journal;
  readonly runner: TaskRunner;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Forgets what is old, once an hour until `signal` aborts: task directories past their days, journal rows past theirs. */
export async function housekeeping(
  { workspaceRoot, config, journal, runner, clock, log }: HousekeepingOptions,
  signal: AbortSignal,
): Promise<void> {
  const retention = new Retention({
    workspaceRoot,
    clock,
    retentionDays: config.tasks.retention_days,
    totalBytesMax: config.tasks.max_bytes,
    isLive: (taskId) => runner.find(taskId) !== undefined,
  });
  while (!signal.aborted) {
    try {
      journal.sweep();
      const { removed, failed } = await retention.sweep(signal);
      if (removed.length > 0 || failed.length > 0) log.info({ removed: removed.length, failed }, 'old tasks removed');
    } catch (error) {
      log.warn({ err: error }, 'housekeeping failed');
    }
    await clock.sleep(SWEEP_MS, signal).catch(() => undefined);
  }
}

import { readFileSync, readdirSync } from 'node:fs';
import { systemClock } from '@drawbridge/link';
import { memoryOf } from '@drawbridge/testkit';

/** What a process used while it was watched. */
export interface Usage {
  /** Resident memory at the end. */
  readonly rssBytes: number;
  /** Share of one core: 1 is a core kept busy all the time. */
  readonly cpuShare: number;
}

/** Watches several processes over the same `watchMs`, so that whatever else the machine does meets all of them. */
export async function watchUsage(pids: readonly number[], watchMs: number): Promise<Usage[]> {
  const startedMs = systemClock.monotonic();
  const before = pids.map(cpuMsOf);
  await systemClock.sleep(watchMs);
  const elapsedMs = systemClock.monotonic() - startedMs;
  return pids.map((pid, index) => ({
    rssBytes: memoryOf(pid).rssBytes,
    cpuShare: (cpuMsOf(pid) - (before[index] ?? 0)) / elapsedMs,
  }));
}

/** Time on a processor of all its threads that live; `schedstat` counts nanoseconds, where `stat` has ticks of 10 ms. */
export function cpuMsOf(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const nanoseconds = threads.map((id) =>
    Number(readFileSync(`/proc/${pid}/task/${id}/schedstat`, 'utf8').split(' ')[0]),
  );
  return nanoseconds.reduce((sum, next) => sum + next, 0) / 1e6;
}

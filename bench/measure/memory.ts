import { writeFileSync } from 'node:fs';
import { memoryOf } from '@drawbridge/testkit';

/** From now on `memoryOf` tells the peak since now. */
export function resetPeakMemory(pids: readonly number[]): void {
  for (const pid of pids) writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

/** The sum of the most that each held since its peak was reset. */
export function peakMemory(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + memoryOf(pid).peakRssBytes, 0);
}

import type { CpuInfo } from 'node:os';

/** Time that all processors together have spent, since the machine started. */
export interface CpuTimes {
  readonly busyMs: number;
  readonly totalMs: number;
}

/** The sum over all processors. */
export function cpuTimes(cpus: readonly CpuInfo[]): CpuTimes {
  let busyMs = 0;
  let idleMs = 0;
  for (const { times } of cpus) {
    busyMs += times.user + times.nice + times.sys + times.irq;
    idleMs += times.idle;
  }
  return { busyMs, totalMs: busyMs + idleMs };
}

/** The share of 1 that was busy from one sample to the next; undefined when no time has passed. */
export function cpuShare(from: CpuTimes, to: CpuTimes): number | undefined {
  const totalMs = to.totalMs - from.totalMs;
  if (totalMs <= 0) return undefined;
  return Math.min(1, Math.max(0, (to.busyMs - from.busyMs) / totalMs));
}

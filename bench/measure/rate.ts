import { systemClock } from '@drawbridge/link';

/** How often a second `work` is done when `callers` do it again and again for `forMs`, each as soon as it is done. */
export async function ratePerSecond(callers: number, forMs: number, work: () => Promise<unknown>): Promise<number> {
  const startedMs = systemClock.monotonic();
  let done = 0;
  const caller = async () => {
    while (systemClock.monotonic() - startedMs < forMs) {
      await work();
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return (done / (systemClock.monotonic() - startedMs)) * 1000;
}

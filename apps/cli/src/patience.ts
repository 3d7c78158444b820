import { systemClock } from '@drawbridge/link/clock';
import type { RetryOptions } from '@drawbridge/client';
import { note } from './output.ts';

/** How long a control plane may be away before a command gives up. */
const PATIENCE_MS = 120_000;

/** Retries that say so once on standard error, so that a pause is never a riddle. */
export function patience(): RetryOptions {
  let said = false;
  return {
    sleep: (delayMs, signal) => systemClock.sleep(delayMs, signal),
    nowMs: () => systemClock.monotonic(),
    patienceMs: PATIENCE_MS,
    onRetry(error) {
      if (said) return;
      said = true;
      const reason = error instanceof Error ? error.message : 'unknown error';
      note(`${reason}: trying again …`, 'yellow');
    },
  };
}

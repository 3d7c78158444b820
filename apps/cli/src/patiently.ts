import { UnreachableError, isAgentOffline } from '@drawbridge/client';
import { BACKOFF, backoffMs } from '@drawbridge/link';
import type { Clock } from '@drawbridge/link';

const RETRY = { ...BACKOFF.full_jitter, baseMs: 250, maxMs: 2_000 };
/** A link that is lost is back within seconds: what begins just then is not refused for it. */
const PATIENCE_MS = 10_000;

/** Repeats `work` for ten seconds while nobody is reached, or the agent is away. */
export async function patiently<T>(work: () => Promise<T>, clock: Clock, signal: AbortSignal): Promise<T> {
  const untilMs = clock.monotonic() + PATIENCE_MS;
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      const waitMs = backoffMs(RETRY, attempt, Math.random);
      const mayPass = isAgentOffline(error) || error instanceof UnreachableError;
      if (!mayPass || clock.monotonic() + waitMs > untilMs) throw error;
      await clock.sleep(waitMs, signal);
    }
  }
}

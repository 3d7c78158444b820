import { bodyOf } from './body-of.ts';
import { isAgentOffline, isPassing } from './errors.ts';
import type { Http } from './http.ts';
import { delayMs } from './retrying.ts';
import type { RetryOptions } from './retrying.ts';

/** A task's output from byte `since`, each byte once: after a loss it goes on where it stopped. */
export async function* followOutput(
  http: Http,
  taskId: string,
  since: number,
  retry: RetryOptions,
  signal?: AbortSignal,
): AsyncIterable<Uint8Array> {
  let offset = since;
  let failures = 0;
  let wasConnected = false;
  let lastByteMs = retry.nowMs();
  for (;;) {
    try {
      const path = `/api/v1/tasks/${encodeURIComponent(taskId)}/output?follow=true&since=${offset}`;
      const response = await http.send(path, { signal });
      failures = 0;
      wasConnected = true;
      lastByteMs = retry.nowMs();
      for await (const bytes of bodyOf(response, signal)) {
        offset += bytes.byteLength;
        lastByteMs = retry.nowMs();
        yield bytes;
      }
      return;
    } catch (error) {
      signal?.throwIfAborted();
      failures += 1;
      const waitMs = delayMs(failures);
      const mayReturn = isPassing(error) || (wasConnected && isAgentOffline(error));
      if (!mayReturn || retry.nowMs() + waitMs - lastByteMs > retry.patienceMs) throw error;
      retry.onRetry?.(error, waitMs);
      await retry.sleep(waitMs, signal);
    }
  }
}

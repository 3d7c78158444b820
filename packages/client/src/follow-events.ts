import { EventView } from '@drawbridge/protocol/api';
import type { EventTopic } from '@drawbridge/protocol/api';
import { z } from 'zod';
import { ApiError, UnreachableError, isPassing } from './errors.ts';
import { EventStreamParser } from './event-stream.ts';
import type { StreamBlock } from './event-stream.ts';
import type { Http } from './http.ts';
import { queryOf } from './query.ts';
import { delayMs } from './retrying.ts';
import type { RetryOptions } from './retrying.ts';

/** What to follow, and from where. */
export interface EventFilter {
  /** What events are about; none: all of them. */
  readonly types?: readonly EventTopic[];
  /** The id of the last event that was taken. */
  readonly lastEventId?: string | undefined;
}

/** Something changed; or so much has that everything is to be read again, and followed from here. */
export type FollowedEvent =
  { readonly kind: 'event'; readonly event: EventView } | { readonly kind: 'reset'; readonly lastEventId: string };

/** The control plane speaks every 15 seconds at least; one that is silent for so long is gone. */
const SILENCE_MS = 45_000;

const Failure = z.object({ code: z.string(), message: z.string() });
/** With these the stream is over for good: the caller has to sign in, or may not. */
const FINAL_STATUS: Readonly<Record<string, number>> = { unauthenticated: 401, forbidden: 403 };

/**
 * Every change the caller may see, each once and in order: over losses of the connection and restarts it goes on after the last one.
 * Rejects when the right to it is gone, when the patience with a control plane that is away is over, or with `signal.reason`.
 */
export async function* followEvents(
  http: Http,
  { types = [], lastEventId: startId }: EventFilter,
  retry: RetryOptions,
  signal?: AbortSignal,
): AsyncIterable<FollowedEvent> {
  let lastEventId = startId;
  let failures = 0;
  let heardMs = retry.nowMs();
  const path = `/api/v1/events${queryOf({ types: types.length === 0 ? undefined : types.join(',') })}`;
  for (;;) {
    try {
      const headers = lastEventId === undefined ? {} : { 'last-event-id': lastEventId };
      for await (const block of blocksOf(http, path, headers, retry, signal)) {
        failures = 0;
        heardMs = retry.nowMs();
        lastEventId = block.id ?? lastEventId;
        const followed = parse(block, lastEventId ?? '');
        if (followed !== undefined) yield followed;
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (!isPassing(error)) throw error;
      failures += 1;
      const waitMs = delayMs(failures);
      if (retry.nowMs() + waitMs - heardMs > retry.patienceMs) throw error;
      retry.onRetry?.(error, waitMs);
      await retry.sleep(waitMs, signal);
    }
  }
}

/** One connection's events. It always ends with an error: a stream has no end of its own. */
async function* blocksOf(
  http: Http,
  path: string,
  headers: Record<string, string>,
  retry: RetryOptions,
  signal: AbortSignal | undefined,
): AsyncIterable<StreamBlock> {
  const over = new AbortController();
  const either = signal === undefined ? over.signal : AbortSignal.any([signal, over.signal]);
  try {
    const { body } = await http.send(path, { headers: { ...headers, accept: 'text/event-stream' }, signal: either });
    const parser = new EventStreamParser();
    const reader = (body ?? nothing())[Symbol.asyncIterator]();
    for (;;) {
      const read = await unlessSilent(reader.next(), retry, either);
      if (read.done === true) throw new Error('the stream ended');
      yield* parser.push(read.value);
    }
  } catch (cause) {
    signal?.throwIfAborted();
    throw cause instanceof ApiError ? cause : new UnreachableError('its address', cause);
  } finally {
    over.abort(new Error('the stream is not read any more'));
  }
}

/** What the body gives next; rejects when that takes too long. */
async function unlessSilent<T>(next: Promise<T>, retry: RetryOptions, signal: AbortSignal): Promise<T> {
  const nap = new AbortController();
  const silence = retry.sleep(SILENCE_MS, AbortSignal.any([signal, nap.signal])).then(() => {
    throw new Error(`nothing was heard for ${SILENCE_MS} ms`);
  });
  try {
    return await Promise.race([next, silence]);
  } finally {
    nap.abort(new Error('something was heard'));
  }
}

function parse({ type, data }: StreamBlock, lastEventId: string): FollowedEvent | undefined {
  if (type === undefined) return undefined;
  if (type === 'reset') return { kind: 'reset', lastEventId };
  if (type === 'error') throw refusal(Failure.parse(JSON.parse(data)));
  return { kind: 'event', event: EventView.parse(JSON.parse(data)) };
}

function refusal({ code, message }: z.infer<typeof Failure>): ApiError {
  return new ApiError({ code, message, status: FINAL_STATUS[code] ?? 503 });
}

async function* nothing(): AsyncIterable<Uint8Array> {
  // A response without a body.
}

import { UnreachableError } from './errors.ts';
import type { ResponseLike } from './fetch.ts';

/**
 * The bytes of an answer as they come; none where there is no body. One that breaks off is a loss of the connection, whatever the
 * platform calls it: rejects with UnreachableError, or the signal's reason.
 */
export async function* bodyOf({ body }: ResponseLike, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  if (body === null) return;
  try {
    for await (const bytes of body) yield bytes;
  } catch (cause) {
    signal?.throwIfAborted();
    throw new UnreachableError('its address', cause);
  }
}

import { bodyOf } from './body-of.ts';
import type { Http } from './http.ts';

/**
 * Everything the control plane holds, as a compressed archive, in parts as they come. Rejects with UnreachableError when it breaks
 * off; what came until then is no backup.
 */
export async function* takeBackup(http: Http, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  yield* bodyOf(await http.send('/api/v1/backups', { method: 'POST', signal }), signal);
}

import { SessionView } from '@drawbridge/protocol/api';
import { z } from 'zod';
import type { Http } from './http.ts';

const Sessions = z.object({ items: z.array(SessionView) });

/** Where the caller is signed in: browsers and command lines. */
export class SessionsApi {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /** The caller's own sessions; `current` is the one that asks. */
  async list(signal?: AbortSignal): Promise<SessionView[]> {
    return (await this.#http.json(Sessions, '/api/v1/sessions', { signal })).items;
  }

  /** Ends one of the caller's sessions; `current` is the one that asks. */
  end(id: string, signal?: AbortSignal): Promise<void> {
    return this.#http.done(`/api/v1/sessions/${encodeURIComponent(id)}`, { method: 'DELETE', signal });
  }

  /** Signs the caller out everywhere, here too; API tokens stay. */
  endAll(signal?: AbortSignal): Promise<void> {
    return this.#http.done('/api/v1/sessions', { method: 'DELETE', signal });
  }
}

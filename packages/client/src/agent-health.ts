import { HealthSample, pageOf } from '@drawbridge/protocol/api';
import type { Http } from './http.ts';
import { queryOf } from './query.ts';

/** Samples from `since` on, before `until` (ISO 8601). */
export interface HealthFilter {
  readonly since?: string | undefined;
  readonly until?: string | undefined;
}

/** An agent's samples, page after page. */
export async function* agentHealth(
  http: Http,
  agent: string,
  { since, until }: HealthFilter,
  signal?: AbortSignal,
): AsyncGenerator<HealthSample> {
  let cursor: string | null = null;
  do {
    const query = queryOf({ limit: 1000, since, until, cursor });
    const path = `/api/v1/agents/${encodeURIComponent(agent)}/health${query}`;
    const page = await http.json(pageOf(HealthSample), path, { signal });
    yield* page.items;
    cursor = page.next_cursor;
  } while (cursor !== null);
}

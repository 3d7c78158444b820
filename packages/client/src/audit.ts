import { AuditRecord, AuditReport, pageOf } from '@drawbridge/protocol/api';
import type { AuditAnchor, AuditResult } from '@drawbridge/protocol/api';
import { bodyOf } from './body-of.ts';
import type { Http } from './http.ts';
import { queryOf } from './query.ts';

/** Which records of the audit log to list; all of it together. */
export interface AuditFilter {
  /** `kind:id`. */
  readonly actor?: string | undefined;
  readonly verb?: string | undefined;
  /** Id of the agent it is about. */
  readonly agent?: string | undefined;
  /** `kind:id`. */
  readonly resource?: string | undefined;
  readonly result?: AuditResult | undefined;
  /** Recorded at this time (ISO 8601) or later. */
  readonly since?: string | undefined;
  readonly until?: string | undefined;
}

/** A filter, and how many records at most. */
export type AuditQuery = AuditFilter & { readonly limit?: number | undefined };

/** What one request for records asks for at most. */
const PAGE_MAX = 200;

/** The audit log of a control plane. */
export class AuditApi {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /** Records, newest first, page by page as they are taken. */
  list(query: AuditQuery = {}, signal?: AbortSignal): AsyncGenerator<AuditRecord> {
    return this.#records('/api/v1/audit', query, signal);
  }

  /** What was done to one agent (id or name), and by it, newest first. */
  activity(
    agent: string,
    query: Omit<AuditQuery, 'agent' | 'actor' | 'resource'> = {},
    signal?: AbortSignal,
  ): AsyncGenerator<AuditRecord> {
    return this.#records(`/api/v1/agents/${encodeURIComponent(agent)}/activity`, query, signal);
  }

  /** Has the control plane walk along its chain; `expect` is an anchor noted earlier. */
  verify(expect?: AuditAnchor, signal?: AbortSignal): Promise<AuditReport> {
    const query = expect === undefined ? '' : `?expect=${expect.seq}:${expect.hash}`;
    return this.#http.json(AuditReport, `/api/v1/audit/verify${query}`, { signal });
  }

  /** The whole log as NDJSON, to be verified elsewhere. Rejects with UnreachableError when it breaks off. */
  async *export(signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    yield* bodyOf(await this.#http.send('/api/v1/audit/export', { signal }), signal);
  }

  async *#records(
    path: string,
    { limit = Number.POSITIVE_INFINITY, ...filter }: AuditQuery,
    signal?: AbortSignal,
  ): AsyncGenerator<AuditRecord> {
    let cursor: string | null = null;
    let missing = limit;
    while (missing > 0) {
      const query = queryOf({ limit: Math.min(PAGE_MAX, missing), ...filter, cursor });
      const page: Page = await this.#http.json(pageOf(AuditRecord), `${path}${query}`, { signal });
      yield* page.items.slice(0, missing);
      missing -= page.items.length;
      cursor = page.next_cursor;
      if (cursor === null) return;
    }
  }
}

interface Page {
  readonly items: readonly AuditRecord[];
  readonly next_cursor: string | null;
}

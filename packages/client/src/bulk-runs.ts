import { BulkRunView, BulkTargetView, pageOf } from '@drawbridge/protocol/api';
import { allPages } from './all-pages.ts';
import type { Http } from './http.ts';
import { queryOf } from './query.ts';
import { retrying } from './retrying.ts';
import type { RetryOptions } from './retrying.ts';

/** For whom: exactly one of them. */
export interface BulkChoice {
  /** Id or name of a group. */
  readonly group?: string | undefined;
  readonly selector?: string | undefined;
  /** Ids or names. */
  readonly agents?: readonly string[] | undefined;
}

/** What: an operation with its parameters, or a provider with instructions. */
export interface BulkWork {
  readonly operation?: string | undefined;
  readonly params?: Readonly<Record<string, unknown>> | undefined;
  readonly provider?: string | undefined;
  readonly instructions?: string | undefined;
  readonly mode?: string | undefined;
  readonly model?: string | undefined;
}

/** A bulk run to make. */
export interface NewBulkRun extends BulkChoice, BulkWork {
  readonly timeoutSeconds?: number | undefined;
  readonly queueIfOffline?: boolean | undefined;
  readonly ttlSeconds?: number | undefined;
  /** Targets that may be unfinished at once. */
  readonly concurrency?: number | undefined;
  /** With more failures than this nothing more is started. */
  readonly failuresMax?: number | undefined;
}

/** The most targets that one request answers. */
const TARGETS_PER_PAGE = 500;

/** One operation, or one task, for many agents. */
export class BulkRunsApi {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /** Makes a run. A request whose answer was lost is repeated under the same key: the run is made once. */
  create(run: NewBulkRun, retry: RetryOptions, signal?: AbortSignal): Promise<BulkRunView> {
    const headers = { 'idempotency-key': crypto.randomUUID() };
    const body = {
      group: run.group,
      selector: run.selector,
      agent_ids: run.agents,
      operation: run.operation,
      params: run.params,
      provider: run.provider,
      instructions: run.instructions,
      mode: run.mode,
      model: run.model,
      timeout_seconds: run.timeoutSeconds,
      queue_if_offline: run.queueIfOffline,
      ttl_seconds: run.ttlSeconds,
      concurrency: run.concurrency,
      failures_max: run.failuresMax,
    };
    return retrying(() => this.#http.json(BulkRunView, '/api/v1/bulk-runs', { body, headers, signal }), retry, signal);
  }

  /** One run. */
  get(id: string, signal?: AbortSignal): Promise<BulkRunView> {
    return this.#http.json(BulkRunView, pathOf(id), { signal });
  }

  /** The newest runs first. */
  async list({ limit = 50 }: { limit?: number } = {}, signal?: AbortSignal): Promise<BulkRunView[]> {
    const path = `/api/v1/bulk-runs${queryOf({ limit })}`;
    return (await this.#http.json(pageOf(BulkRunView), path, { signal })).items;
  }

  /** Every target that the caller may see, in their order. */
  targets(id: string, signal?: AbortSignal): Promise<BulkTargetView[]> {
    return allPages(this.#http, pageOf(BulkTargetView), `${pathOf(id)}/targets`, { limit: TARGETS_PER_PAGE, signal });
  }

  /** Starts nothing more, and cancels what was started. */
  cancel(id: string, signal?: AbortSignal): Promise<BulkRunView> {
    return this.#http.json(BulkRunView, `${pathOf(id)}/cancel`, { method: 'POST', signal });
  }

  /**
   * The run and its targets, now and after each change, until it has ended; over restarts of the control plane. Looks every
   * `retry.sleep(intervalMs)`.
   */
  async *follow(
    id: string,
    { retry, intervalMs = 500 }: { retry: RetryOptions; intervalMs?: number },
    signal?: AbortSignal,
  ): AsyncGenerator<{ readonly run: BulkRunView; readonly targets: readonly BulkTargetView[] }> {
    for (let before = ''; ;) {
      const run = await retrying(() => this.get(id, signal), retry, signal);
      const now = JSON.stringify([run.state, run.targets]);
      if (now !== before) yield { run, targets: await retrying(() => this.targets(id, signal), retry, signal) };
      before = now;
      if (run.ended_at !== null) return;
      await retry.sleep(intervalMs, signal);
    }
  }
}

function pathOf(id: string): string {
  return `/api/v1/bulk-runs/${encodeURIComponent(id)}`;
}

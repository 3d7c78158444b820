import { Counter, Histogram } from 'prom-client';
import type { Registry } from 'prom-client';
import { ANSWER_BUCKETS } from './buckets.ts';

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/** An HTTP request that was answered. */
export interface AnsweredRequest {
  readonly method: string;
  /** The pattern of its route, never its path; undefined when there is no such route. */
  readonly route: string | undefined;
  readonly status: number;
  readonly seconds: number;
}

/** What the HTTP API answers, and how quickly. */
export class HttpMetrics {
  readonly #requests;
  readonly #duration;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#requests = new Counter({
      name: 'drawbridge_http_requests_total',
      help: 'HTTP requests, by method, pattern of the route, and class of the status.',
      labelNames: ['method', 'route', 'status'] as const,
      registers,
    });
    this.#duration = new Histogram({
      name: 'drawbridge_http_request_duration_seconds',
      help: 'From a request’s head to the end of its answer, by method and pattern of the route.',
      labelNames: ['method', 'route'] as const,
      buckets: ANSWER_BUCKETS,
      registers,
    });
  }

  answered({ method: given, route = 'none', status, seconds }: AnsweredRequest): void {
    const method = METHODS.has(given) ? given : 'other';
    this.#requests.inc({ method, route, status: `${Math.floor(status / 100)}xx` });
    this.#duration.observe({ method, route }, seconds);
  }
}

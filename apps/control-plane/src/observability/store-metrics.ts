import type { LogEvent } from 'kysely';
import { Counter, Histogram } from 'prom-client';
import type { StoreStats } from '../store/store.ts';
import type { Metrics } from './metrics.ts';

/** A statement, from its asking to its answer, in seconds. */
const STATEMENT_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5];

/**
 * How the store fares. Returns what Kysely is to tell: `new Kysely({ dialect, log })`. It sees every statement whatever the
 * engine, and the time a caller waited for it.
 */
export function storeMetrics(metrics: Metrics, stats: () => StoreStats): (event: LogEvent) => void {
  metrics.counter('drawbridge_store_commits_total', 'Commits that wrote something.', () => stats().commits);
  metrics.counter('drawbridge_store_failures_total', 'Times the store itself failed.', () => stats().failures);
  metrics.gauge('drawbridge_store_waiting', 'Requests to the store that have no answer yet.', () => stats().waiting);
  const registers = [metrics.registry];
  const statements = new Counter({
    name: 'drawbridge_store_statements_total',
    help: 'SQL statements, by whether they failed; a violated constraint is a failure too.',
    labelNames: ['result'] as const,
    registers,
  });
  const duration = new Histogram({
    name: 'drawbridge_store_statement_duration_seconds',
    help: 'How long callers waited for an SQL statement.',
    buckets: STATEMENT_BUCKETS,
    registers,
  });
  for (const result of ['ok', 'failed']) statements.inc({ result }, 0);
  return ({ level, queryDurationMillis }) => {
    statements.inc({ result: level === 'error' ? 'failed' : 'ok' });
    duration.observe(queryDurationMillis / 1000);
  };
}

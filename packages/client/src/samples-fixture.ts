import type { RetryOptions } from './retrying.ts';

/** For tests: a time as the API tells it. */
export const TIME = '2026-01-07T10:00:00.000Z';

/** For tests: an agent, as the API tells it. */
export const AGENT = {
  id: 'a1',
  name: 'build-1',
  labels: { env: 'dev' },
  status: 'online',
  version: '1',
  os: null,
  arch: null,
  capabilities: [],
  created_at: TIME,
  connected_at: TIME,
  disconnected_at: null,
  last_heartbeat: null,
  health: null,
};

/** For tests: a task, as the API tells it. */
export const TASK = {
  id: 't1',
  agent_id: 'a1',
  provider: 'shell',
  mode: null,
  model: null,
  state: 'succeeded',
  timeout_seconds: 60,
  instructions_bytes: 4,
  instructions_sha256: 'x',
  created_at: TIME,
  started_at: TIME,
  ended_at: TIME,
  exit_code: 0,
  signal: null,
  output_bytes: 0,
  output_sha256: 'x',
  result_bytes: 0,
  error: null,
};

/** For tests: how an agent fared, as the API tells it. */
export const SAMPLE = {
  at: TIME,
  cpu: 0.5,
  load: null,
  memory_total_bytes: null,
  memory_available_bytes: null,
  received_bytes_per_second: null,
  sent_bytes_per_second: null,
  rtt_ms: 3,
  tasks_running: 0,
};

/** For tests: the first and only page of a list. */
export function pageOf(item: object): { items: object[]; next_cursor: null } {
  return { items: [item], next_cursor: null };
}

/** For tests: patience of a minute, in which no time passes. */
export function patience(): RetryOptions {
  return { sleep: () => Promise.resolve(), nowMs: () => 0, patienceMs: 60_000 };
}

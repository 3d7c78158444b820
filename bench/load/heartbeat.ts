import { randomUUID } from 'node:crypto';
import type { HeartbeatPayload } from '@drawbridge/protocol';

/** As much as a real agent says of itself. */
const SAMPLE = {
  rtt_ms: 1.25,
  load: [0.61, 0.37, 1.25],
  cpu: 0.0421,
  memory: { total_bytes: 25_276_088_320, available_bytes: 23_892_123_648, rss_bytes: 78_643_200 },
  bandwidth: { received_bytes_per_second: 1234.5, sent_bytes_per_second: 2345.6 },
  queue: { depth: 0, capacity: 150, dropped: 0 },
  docker: { reachable: false, latency_ms: 0.4 },
  providers: [
    { name: 'claude', available: true },
    { name: 'codex', available: false, reason: 'codex is not on the PATH' },
    { name: 'copilot', available: false, reason: 'copilot is not on the PATH' },
    { name: 'gemini', available: false, reason: 'gemini is not on the PATH' },
    { name: 'shell', available: true },
  ],
  tasks_running: 0,
  sessions: 0,
  tunnels: 0,
  listeners: 0,
} satisfies HeartbeatPayload;

/** A `heartbeat` message as an agent sends it. */
export function heartbeat(): string {
  return JSON.stringify({
    id: randomUUID(),
    type: 'heartbeat',
    timestamp: new Date().toISOString(),
    payload: SAMPLE,
  });
}

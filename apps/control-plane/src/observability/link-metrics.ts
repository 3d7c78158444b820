import { type HeartbeatPayload, WsClose } from '@drawbridge/protocol';
import { Counter, Histogram } from 'prom-client';
import type { Registry } from 'prom-client';
import { FULL_BUCKETS, ROUND_TRIP_BUCKETS } from './buckets.ts';
import { ReportedCount } from './reported-count.ts';
import type { MessageTraffic } from './message-traffic.ts';

/** An agent's very first connection, one after another had ended, or one that took the place of a live one. */
export type ConnectionKind = 'first' | 'reconnect' | 'superseding';

/** How a link ended, by its close code. */
const REASONS: ReadonlyMap<number, string> = new Map([
  [WsClose.Normal, 'normal'],
  [1001, 'going_away'],
  [WsClose.ProtocolError, 'protocol_error'],
  [WsClose.UnsupportedData, 'unsupported_data'],
  [1006, 'lost'],
  [WsClose.InvalidPayload, 'invalid_payload'],
  [WsClose.PolicyViolation, 'policy_violation'],
  [WsClose.MessageTooBig, 'message_too_big'],
  [WsClose.InternalError, 'internal_error'],
  [WsClose.TryAgainLater, 'try_again_later'],
  [WsClose.Superseded, 'superseded'],
  [WsClose.Revoked, 'revoked'],
  [WsClose.Silent, 'silent'],
]);

/** What happens on the agents' control links. */
export class LinkMetrics {
  readonly traffic: MessageTraffic;
  readonly #connections;
  readonly #disconnections;
  readonly #roundTrip;
  readonly #saturation;
  readonly #dropped;
  readonly #creditStalls;

  constructor(registry: Registry, traffic: MessageTraffic) {
    const registers = [registry];
    this.traffic = traffic;
    this.#connections = new Counter({
      name: 'drawbridge_agent_connections_total',
      help: 'Connections of agents: first, reconnect, or superseding (it took the place of a live one).',
      labelNames: ['kind'] as const,
      registers,
    });
    this.#disconnections = new Counter({
      name: 'drawbridge_agent_disconnections_total',
      help: 'Ends of agents’ connections, by the close code’s meaning.',
      labelNames: ['reason'] as const,
      registers,
    });
    this.#roundTrip = new Histogram({
      name: 'drawbridge_heartbeat_round_trip_seconds',
      help: 'Round trips of heartbeats, as agents measured and reported them.',
      buckets: ROUND_TRIP_BUCKETS,
      registers,
    });
    this.#saturation = new Histogram({
      name: 'drawbridge_agent_telemetry_saturation',
      help: 'How full agents’ buffers of health samples were, a share of 1, once for each heartbeat.',
      buckets: FULL_BUCKETS,
      registers,
    });
    const dropped = new Counter({
      name: 'drawbridge_agent_telemetry_dropped_total',
      help: 'Health samples that agents dropped from a full buffer, as they reported.',
      registers,
    });
    this.#dropped = new ReportedCount(dropped);
    const creditStalls = new Counter({
      name: 'drawbridge_tunnel_credit_stalls_total',
      help: 'Times that agents had bytes for a channel and no credit to send them, as they reported.',
      registers,
    });
    this.#creditStalls = new ReportedCount(creditStalls);
    for (const kind of ['first', 'reconnect', 'superseding']) this.#connections.inc({ kind }, 0);
    for (const reason of [...REASONS.values(), 'other']) this.#disconnections.inc({ reason }, 0);
  }

  opened(kind: ConnectionKind): void {
    this.#connections.inc({ kind });
  }

  closed(code: number): void {
    this.#disconnections.inc({ reason: REASONS.get(code) ?? 'other' });
  }

  /** What an agent says about itself and its link. */
  heartbeat(agentId: string, { rtt_ms: rttMs, queue, credit_stalls: creditStalls }: HeartbeatPayload): void {
    if (rttMs !== undefined) this.#roundTrip.observe(rttMs / 1000);
    if (creditStalls !== undefined) this.#creditStalls.note(agentId, creditStalls);
    if (queue === undefined) return;
    if (queue.capacity > 0) this.#saturation.observe(Math.min(1, queue.depth / queue.capacity));
    this.#dropped.note(agentId, queue.dropped);
  }
}

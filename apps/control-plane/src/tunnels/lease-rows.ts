import type { Clock } from '@drawbridge/link';
import { CloseReason, TunnelProtocol, TunnelTarget } from '@drawbridge/protocol';
import type { TunnelView } from '@drawbridge/protocol/api';
import { z } from 'zod';
import type { LeaseRow } from '../store/leases-repository.ts';
import { LiveLease } from './lease.ts';
import type { LeaseEnd } from './lease.ts';

const Metadata = z.record(z.string(), z.string());

/** The whole row of a lease. */
export function leaseRow(lease: LiveLease): LeaseRow {
  return {
    tunnel_id: lease.tunnelId,
    agent_id: lease.agentId,
    protocol: lease.protocol,
    domain: lease.domain,
    target: lease.target === null ? null : JSON.stringify(lease.target),
    metadata: JSON.stringify(lease.metadata),
    operator_id: lease.operatorId,
    operator_name: lease.operatorName,
    idle_timeout: lease.idleSeconds,
    grace_timeout: lease.graceSeconds,
    created_at: new Date(lease.createdAtMs).toISOString(),
    ...lease.changes(),
  };
}

/** The lease of a row that a restart has survived: in grace, from now on. */
export function survivingLease(row: LeaseRow, clock: Clock): LiveLease {
  const facts = {
    tunnelId: row.tunnel_id,
    agentId: row.agent_id,
    protocol: TunnelProtocol.parse(row.protocol),
    domain: row.domain,
    target: targetOfRow(row),
    metadata: Metadata.parse(JSON.parse(row.metadata)),
    operatorId: row.operator_id,
    operatorName: row.operator_name,
    createdAtMs: Date.parse(row.created_at),
    idleSeconds: row.idle_timeout,
    graceSeconds: row.grace_timeout,
  };
  const beginning = {
    port: row.assigned_port,
    state: 'grace',
    epoch: row.epoch,
    lastActivityMs: Date.parse(row.last_activity_at),
    bytes: { up: row.bytes_up, down: row.bytes_down },
  } as const;
  const lease = new LiveLease(facts, beginning, clock);
  lease.isDirty = true;
  return lease;
}

/** How a lease was ending when its process did. */
export function endOfRow({ close_code, close_reason }: LeaseRow): LeaseEnd {
  const code = Object.values(CloseReason).find((one) => one === close_code) ?? CloseReason.UnexpectedDisconnect;
  return { code, reason: close_reason ?? 'the control plane ended' };
}

/** A lease as the API shows it, whether it is over or not. */
export function leaseView(
  row: LeaseRow,
  live?: { readonly legs: LiveLease['legs']; readonly channels: number },
): TunnelView {
  return {
    tunnel_id: row.tunnel_id,
    agent_id: row.agent_id,
    kind: 'operator',
    state: row.state,
    channels: live?.channels ?? 0,
    created_at: row.created_at,
    protocol: row.protocol,
    domain: row.domain,
    port: row.assigned_port,
    target: targetOfRow(row),
    metadata: Metadata.parse(JSON.parse(row.metadata)),
    operator_id: row.operator_id,
    operator_name: row.operator_name,
    legs: { operator: live?.legs.operator ?? false, agent: live?.legs.agent ?? false },
    idle_seconds: row.idle_timeout,
    grace_seconds: row.grace_timeout,
    last_activity_at: row.last_activity_at,
    expires_at: row.ended_at === null ? row.expires_at : null,
    bytes: { up: row.bytes_up, down: row.bytes_down },
    ended_at: row.ended_at,
    close_code: row.close_code,
    close_reason: row.close_reason,
  };
}

function targetOfRow(row: LeaseRow): TunnelTarget | null {
  return row.target === null ? null : TunnelTarget.parse(JSON.parse(row.target));
}

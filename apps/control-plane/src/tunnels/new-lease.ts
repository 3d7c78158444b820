import type { Clock } from '@drawbridge/link';
import { TUNNEL_PROTOCOLS } from '@drawbridge/protocol';
import { actorText } from '../operators/actor.ts';
import type { Actor } from '../operators/actor.ts';
import type { LeaseRow } from '../store/leases-repository.ts';
import type { WantedTunnel } from './domain-limits.ts';
import { LiveLease } from './lease.ts';

/** What was decided about a lease before it is made. */
export interface LeasePlan {
  readonly tunnelId: string;
  readonly agentId: string;
  readonly port: number;
  readonly idleSeconds: number;
  readonly graceSeconds: number;
}

/** A lease that nobody knows of yet. */
export function newLease(
  { port, ...plan }: LeasePlan,
  { protocol, target, metadata = {} }: WantedTunnel,
  actor: Actor,
  clock: Clock,
): LiveLease {
  const facts = {
    ...plan,
    protocol,
    domain: TUNNEL_PROTOCOLS[protocol].domain,
    target: target ?? null,
    metadata,
    operatorId: actorText(actor),
    operatorName: actor.name,
    createdAtMs: clock.now(),
  };
  const bytes = { up: 0, down: 0 };
  const beginning = { port, state: 'pending', epoch: 0, lastActivityMs: facts.createdAtMs, bytes } as const;
  return new LiveLease(facts, beginning, clock);
}

/** Who asked for it, as far as it is stored: what they may is looked up when it is needed. */
export function operatorOf({ operator_id, operator_name }: Pick<LeaseRow, 'operator_id' | 'operator_name'>): Actor {
  const [kind, id = ''] = operator_id.split(':', 2);
  const known = kind === 'token' || kind === 'agent' || kind === 'system' ? kind : 'user';
  return { kind: known, id, name: operator_name ?? '', userId: undefined, grants: [] };
}

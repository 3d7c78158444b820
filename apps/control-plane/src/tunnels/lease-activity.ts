import type { Logger } from '@drawbridge/runtime';
import type { AuditEntry } from '../audit/audit-entry.ts';
import type { AuditDetails } from '../audit/audit-details.ts';
import type { NewEvent, Publish } from '../events/event-feed.ts';
import { addressKey } from '../limits/address-key.ts';
import type { TokenBuckets } from '../limits/token-buckets.ts';
import { SYSTEM, actorText } from '../operators/actor.ts';
import type { Actor } from '../operators/actor.ts';
import type { Lease, LeaseEnd, LegSide } from './lease.ts';

/** Who did something, as it is recorded. */
interface Who {
  readonly actor: string;
  readonly actorName: string | null;
}

/** A request, which is recorded by what it did. */
export interface Requested {
  readonly kind: 'request';
  readonly id: string;
  readonly address: string;
  readonly actor: Actor;
}

/** Who ended a lease. */
export type EndedBy = Actor | 'system' | Requested;

export interface LeaseActivityParts {
  readonly audit: { record(entry: AuditEntry): Promise<void> };
  readonly publish: Publish;
  readonly log: Logger;
  /** How many refusals of an address are recorded; metrics count the others. */
  readonly refusals: Pick<TokenBuckets, 'spend'>;
}

/**
 * Records and tells what becomes of leases: attached, detached, over, and why (S3-108, S3-144, S3-209). Who asked for one is recorded
 * by the request. Nobody waits for these records: a leg is not kept out because one could not be written, which is logged instead.
 */
export class LeaseActivity {
  readonly #parts: LeaseActivityParts;

  constructor(parts: LeaseActivityParts) {
    this.#parts = parts;
  }

  requested(lease: Lease): void {
    this.#publish('tunnel.opened', lease);
  }

  /** `by` is who attached the operator's end, when it is not the lease's own operator. */
  attached(lease: Lease, leg: LegSide, by?: Actor): void {
    this.#publish('tunnel.changed', lease);
    void this.#record(lease, { verb: 'tunnel.attach', ...whoOf(lease, leg, by), reason: null, details: { leg } });
  }

  detached(lease: Lease, leg: LegSide, reason: string): void {
    this.#publish('tunnel.changed', lease, { reason });
    void this.#record(lease, { verb: 'tunnel.detach', ...whoOf(lease, leg), reason, details: { leg } });
  }

  /** Somebody came for an end of a tunnel and was turned away. They need not be anybody: so much of an address, no more. */
  refused(
    { agentId, tunnelId }: Pick<Lease, 'agentId' | 'tunnelId'>,
    leg: LegSide,
    { address, code, by }: { readonly address: string; readonly code: string; readonly by: Actor | undefined },
  ): void {
    if (!this.#parts.refusals.spend(addressKey(address))) return;
    const who = by === undefined ? { actor: `agent:${agentId}`, actorName: null } : recorded(by);
    const entry = {
      ...who,
      verb: 'tunnel.attach',
      resource: `agent:${agentId}`,
      agentId,
      address,
      requestId: null,
      result: 'denied',
      reason: code,
      details: { tunnel_id: tunnelId, leg },
    } as const;
    const { audit, log } = this.#parts;
    audit
      .record(entry)
      .catch((error: unknown) => log.error({ err: error, agentId, tunnelId }, 'a refused leg is not recorded'));
  }

  /** Resolves once an end that was requested is recorded, and rejects when it cannot be: then the request is not answered. */
  async ended(lease: Lease, { code, reason }: LeaseEnd, by: EndedBy): Promise<void> {
    const [actor, request] = isRequest(by) ? [by.actor, by] : [by];
    this.#publish('tunnel.closed', lease, { code, reason });
    const details = { close_code: code };
    const recording = this.#record(lease, { verb: 'tunnel.close', ...recorded(actor), reason, details }, request);
    if (request !== undefined) await recording;
  }

  #publish(type: NewEvent['type'], lease: Lease, more: NewEvent['data'] = {}): void {
    const { tunnelId, agentId, operatorId, protocol, domain, state, legs } = lease;
    const data = {
      kind: 'operator',
      tunnel_id: tunnelId,
      operator_id: operatorId,
      protocol,
      domain,
      state,
      legs: { ...legs },
      ...more,
    };
    this.#parts.publish({ type, resource: `tunnel:${tunnelId}`, agentId, data });
  }

  #record(
    { tunnelId, agentId, protocol, domain, port }: Lease,
    happening: Who & { readonly verb: string; readonly reason: string | null; readonly details: AuditDetails },
    request?: Requested,
  ): Promise<void> {
    const { audit, publish, log } = this.#parts;
    const { verb, reason } = happening;
    const resource = `agent:${agentId}`;
    const details = { tunnel_id: tunnelId, protocol, domain, port, ...happening.details };
    const entry = {
      ...happening,
      resource,
      agentId,
      address: request?.address ?? null,
      requestId: request?.id ?? null,
      result: 'allowed',
      details,
    } as const;
    const recording = audit.record(entry);
    recording.then(
      () => publish({ type: 'activity.recorded', resource, agentId, data: { verb, result: 'allowed', reason } }),
      (error: unknown) => log.error({ err: error, agentId, tunnelId, verb }, 'activity of a tunnel is not recorded'),
    );
    return recording;
  }
}

function isRequest(by: EndedBy): by is Requested {
  return by !== 'system' && by.kind === 'request';
}

function whoOf(lease: Lease, leg: LegSide, by?: Actor): Who {
  if (leg === 'agent') return { actor: `agent:${lease.agentId}`, actorName: null };
  return by === undefined ? { actor: lease.operatorId, actorName: lease.operatorName } : recorded(by);
}

function recorded(by: Actor | 'system'): Who {
  const actor = by === 'system' ? SYSTEM : by;
  return { actor: actorText(actor), actorName: actor.kind === 'system' ? null : actor.name };
}

import type { Clock } from '@drawbridge/link';
import { CloseReason, LIMITS } from '@drawbridge/protocol';
import type { TunnelProtocol, TunnelTarget } from '@drawbridge/protocol';
import type { LeaseState } from '@drawbridge/protocol/api';
import type { LeaseRow } from '../store/leases-repository.ts';

/** The two ends of a tunnel. */
export type LegSide = 'operator' | 'agent';

/** Why a lease ended: the code that both ends are told, and a sentence. */
export interface LeaseEnd {
  readonly code: CloseReason;
  readonly reason: string;
}

/** The right to one operator tunnel, as it is now: it changes under whoever holds it. */
export interface Lease {
  readonly tunnelId: string;
  readonly agentId: string;
  readonly protocol: TunnelProtocol;
  readonly domain: string;
  readonly port: number;
  readonly target: TunnelTarget | null;
  readonly metadata: Readonly<Record<string, string>>;
  /** `kind:id` of the actor who asked for it. */
  readonly operatorId: string;
  readonly operatorName: string | null;
  readonly createdAtMs: number;
  readonly idleSeconds: number;
  readonly graceSeconds: number;
  readonly state: LeaseState;
  readonly epoch: number;
  readonly legs: Readonly<Record<LegSide, boolean>>;
  readonly lastActivityMs: number;
  /** When it ends unless something happens: the end of waiting for both ends, of idleness, or of grace. */
  readonly expiresAtMs: number;
  readonly bytes: { readonly up: number; readonly down: number };
}

/**
 *   pending --both ends--> active --an end goes--> grace --both ends--> active
 *   pending, active, grace --end--> closing --stored--> closed | expired
 *
 * A restart of the control plane puts what is not closing into grace.
 */
const NEXT = {
  pending: ['active', 'closing'],
  active: ['grace', 'closing'],
  grace: ['active', 'closing'],
  closing: ['closed', 'expired'],
  closed: [],
  expired: [],
} as const satisfies Record<LeaseState, readonly LeaseState[]>;

/** What of a lease never changes. */
export type LeaseFacts = Omit<Lease, 'port' | 'state' | 'epoch' | 'legs' | 'lastActivityMs' | 'expiresAtMs' | 'bytes'>;

/** What a lease begins with: a new one is `pending`, one that a restart has survived in `grace`. */
export interface LeaseBeginning {
  readonly port: number;
  readonly state: 'pending' | 'grace';
  readonly epoch: number;
  readonly lastActivityMs: number;
  readonly bytes: { up: number; down: number };
}

/** A lease that is not over: one place that moves its state and keeps its timers. Timers do not see somebody set the clock. */
export class LiveLease implements Lease {
  readonly tunnelId: string;
  readonly agentId: string;
  readonly protocol: TunnelProtocol;
  readonly domain: string;
  readonly target: TunnelTarget | null;
  readonly metadata: Readonly<Record<string, string>>;
  readonly operatorId: string;
  readonly operatorName: string | null;
  readonly createdAtMs: number;
  readonly idleSeconds: number;
  readonly graceSeconds: number;
  readonly legs: Record<LegSide, boolean> = { operator: false, agent: false };
  readonly bytes: { up: number; down: number };
  port: number;
  epoch: number;
  lastActivityMs: number;
  /** Differs from its row. */
  isDirty = false;
  #state: LeaseState;
  #end: LeaseEnd | undefined;
  #graceSinceMs: number | undefined;
  /** By the monotonic clock: since when the deadline of this state counts. */
  #sinceMonotonicMs: number;
  /** How long it was without activity, apart from time in grace: idleness does not grow while nothing can be sent. */
  #idleBeforeMs = 0;
  readonly #clock: Clock;

  constructor(facts: LeaseFacts, beginning: LeaseBeginning, clock: Clock) {
    this.#clock = clock;
    this.tunnelId = facts.tunnelId;
    this.agentId = facts.agentId;
    this.protocol = facts.protocol;
    this.domain = facts.domain;
    this.target = facts.target;
    this.metadata = facts.metadata;
    this.operatorId = facts.operatorId;
    this.operatorName = facts.operatorName;
    this.createdAtMs = facts.createdAtMs;
    this.idleSeconds = facts.idleSeconds;
    this.graceSeconds = facts.graceSeconds;
    this.port = beginning.port;
    this.epoch = beginning.epoch;
    this.lastActivityMs = beginning.lastActivityMs;
    this.bytes = { ...beginning.bytes };
    this.#state = beginning.state;
    this.#sinceMonotonicMs = clock.monotonic();
    if (beginning.state === 'grace') this.#graceSinceMs = clock.now();
  }

  get state(): LeaseState {
    return this.#state;
  }

  /** Why it ends, once it does. */
  get end(): LeaseEnd | undefined {
    return this.#end;
  }

  /** False once it ends: then it takes no leg and no token any more, and only counts. */
  get isUsable(): boolean {
    return this.#end === undefined;
  }

  get expiresAtMs(): number {
    return this.#clock.now() + this.#leftMs();
  }

  /** An end has connected, or did so again. */
  legUp(side: LegSide): void {
    this.legs[side] = true;
    if (this.#state !== 'active' && this.legs.operator && this.legs.agent) this.#moveTo('active');
    this.isDirty = true;
  }

  /** An end has gone; whether it was there. */
  legGone(side: LegSide): boolean {
    if (!this.legs[side]) return false;
    this.legs[side] = false;
    if (this.#state === 'active') this.#moveTo('grace');
    this.isDirty = true;
    return true;
  }

  /** A channel's bytes, to the agent or from it, or controls have passed. Called for every frame. */
  noteTraffic(up: number, down: number): void {
    this.bytes.up += up;
    this.bytes.down += down;
    this.lastActivityMs = this.#clock.now();
    this.isDirty = true;
    this.#idleBeforeMs = 0;
    if (this.#state === 'active') this.#sinceMonotonicMs = this.#clock.monotonic();
  }

  /** Begins to end; only the first reason counts. */
  close(end: LeaseEnd): void {
    if (this.#end !== undefined) return;
    this.#moveTo('closing');
    this.#end = end;
    this.legs.operator = false;
    this.legs.agent = false;
  }

  /** Has ended. */
  closed(): void {
    this.#moveTo(isExpiry(this.#end) ? 'expired' : 'closed');
  }

  /** Why it has to end by now; undefined while it need not. */
  overdue(): LeaseEnd | undefined {
    if (this.#leftMs() > 0) return undefined;
    switch (this.#state) {
      case 'pending': {
        const reason = `its two ends did not meet within ${LIMITS.leasePendingMs / 1000} s`;
        return { code: CloseReason.GraceExpired, reason };
      }
      case 'active':
        return { code: CloseReason.IdleTimeout, reason: `no data for ${this.idleSeconds} s` };
      case 'grace':
        return { code: CloseReason.GraceExpired, reason: `an end was away for ${this.graceSeconds} s` };
      default:
        return undefined;
    }
  }

  /** What of its row may have changed. */
  changes(): LeaseChanges {
    const end = this.#end;
    const isOver = this.#state === 'closed' || this.#state === 'expired';
    return {
      assigned_port: this.port,
      state: this.#state,
      epoch: this.epoch,
      expires_at: isoText(this.expiresAtMs),
      last_activity_at: isoText(this.lastActivityMs),
      grace_since: this.#graceSinceMs === undefined ? null : isoText(this.#graceSinceMs),
      bytes_up: this.bytes.up,
      bytes_down: this.bytes.down,
      close_code: end?.code ?? null,
      close_reason: end?.reason ?? null,
      ended_at: isOver ? isoText(this.#clock.now()) : null,
    };
  }

  #leftMs(): number {
    const spentMs = this.#clock.monotonic() - this.#sinceMonotonicMs;
    switch (this.#state) {
      case 'pending':
        return LIMITS.leasePendingMs - spentMs;
      case 'active':
        return this.idleSeconds * 1000 - this.#idleBeforeMs - spentMs;
      case 'grace':
        return this.graceSeconds * 1000 - spentMs;
      default:
        return 0;
    }
  }

  #moveTo(to: LeaseState): void {
    const from = this.#state;
    if (!NEXT[from].some((next) => next === to)) throw new Error(`lease ${this.tunnelId}: ${from} -> ${to}`);
    const nowMs = this.#clock.monotonic();
    if (from === 'active') this.#idleBeforeMs += nowMs - this.#sinceMonotonicMs;
    this.#graceSinceMs = to === 'grace' ? this.#clock.now() : undefined;
    this.#sinceMonotonicMs = nowMs;
    this.#state = to;
    this.isDirty = true;
  }
}

/** The columns that change while a lease lives. */
export type LeaseChanges = Omit<LeaseRow, keyof LeaseFactColumns>;
type LeaseFactColumns = Pick<
  LeaseRow,
  | 'tunnel_id'
  | 'agent_id'
  | 'protocol'
  | 'domain'
  | 'target'
  | 'metadata'
  | 'operator_id'
  | 'operator_name'
  | 'idle_timeout'
  | 'grace_timeout'
  | 'created_at'
>;

/** Nobody ended it: it ran out. */
function isExpiry(end: LeaseEnd | undefined): boolean {
  return end?.code === CloseReason.IdleTimeout || end?.code === CloseReason.GraceExpired;
}

function isoText(ms: number): string {
  return new Date(ms).toISOString();
}

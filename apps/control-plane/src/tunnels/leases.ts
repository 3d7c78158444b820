import type { Kysely } from 'kysely';
import type { Clock } from '@drawbridge/link';
import { ControlError, LIMITS, TUNNEL_PROTOCOLS } from '@drawbridge/protocol';
import type { Logger } from '@drawbridge/runtime';
import { labelsOf } from '../agents/agent-resource.ts';
import type { Presence } from '../agents/presence.ts';
import type { AgentLabels } from '../events/agent-labels.ts';
import type { AccessWatch } from '../operators/access-watch.ts';
import { actorText } from '../operators/actor.ts';
import type { Actor } from '../operators/actor.ts';
import { can } from '../operators/authorise.ts';
import { AgentsRepository } from '../store/agents-repository.ts';
import type { AgentRow } from '../store/agents-repository.ts';
import { LeasesRepository } from '../store/leases-repository.ts';
import type { Schema } from '../store/schema.ts';
import { timestamp } from '../store/timestamp.ts';
import { uuidv7 } from '../store/uuid.ts';
import { domainLimit, holdersOf, requireRoom, requireSound, sameTunnel } from './domain-limits.ts';
import type { Counted, DomainLimits, WantedTunnel } from './domain-limits.ts';
import { HeldLeases } from './held-leases.ts';
import type { EndedBy, LeaseActivity } from './lease-activity.ts';
import { LEASE_ENDS, tunnelNotFound } from './lease-ends.ts';
import { endOfRow, leaseRow, survivingLease } from './lease-rows.ts';
import { LeaseWrites } from './lease-writes.ts';
import type { Lease, LeaseEnd, LegSide, LiveLease } from './lease.ts';
import { newLease, operatorOf } from './new-lease.ts';
import type { LeasePorts } from './port-pool.ts';

/** How long a lease that has ended can still be read. */
const ENDED_KEPT_MS = 7 * 86_400_000;
const FORGET_EVERY_MS = 60 * 60_000;

export interface LeasesOptions {
  readonly db: Kysely<Schema>;
  readonly ports: LeasePorts;
  readonly presence: Pick<Presence, 'current'>;
  readonly access: Pick<AccessWatch, 'watch'>;
  readonly labels: Pick<AgentLabels, 'of'>;
  readonly activity: LeaseActivity;
  readonly clock: Clock;
  readonly log: Logger;
  readonly config: {
    readonly idle_timeout: number;
    readonly grace_timeout: number;
    readonly domains: DomainLimits;
  };
}

/**
 * The leases of operator tunnels (PROTOCOL.md §3.1): in memory while they are not over, every change of their state in the store.
 * What only the store could not be told is told again with the next sweep.
 */
export class Leases implements AsyncDisposable {
  readonly #options: LeasesOptions;
  readonly #writes: LeaseWrites;
  readonly #held: HeldLeases;
  /** Those that are being made: they count, and nobody sees them yet. */
  readonly #coming = new Set<Counted>();
  readonly #requested: ((lease: Lease) => void)[] = [];
  #forgotMs = Number.NEGATIVE_INFINITY;

  constructor(options: LeasesOptions) {
    this.#options = options;
    this.#writes = new LeaseWrites(options.db);
    this.#held = new HeldLeases({ ...options, writes: this.#writes });
  }

  /** Registers who is told of each new lease. A listener is quick and does not throw. */
  onRequested(listener: (lease: Lease) => void): void {
    this.#requested.push(listener);
  }

  /** Registers who is told, at once, that a lease ends: its legs are to be closed. A listener is quick and does not throw. */
  onEnded(listener: (lease: Lease, end: LeaseEnd) => void): void {
    this.#held.onEnded(listener);
  }

  /** The leases of before: each is in grace from now on, on its port of before, or on another where that is lost. */
  async load(): Promise<void> {
    const { db, clock } = this.#options;
    const agents = new AgentsRepository(db);
    for (const row of await new LeasesRepository(db).unended()) {
      const lease = survivingLease(row, clock);
      this.#held.hold(lease, operatorOf(row));
      if (row.state === 'closing') {
        await this.end(lease.tunnelId, endOfRow(row), 'system');
        continue;
      }
      const agent = await agents.find(row.agent_id);
      if (agent === undefined || agent.status === 'revoked') {
        await this.end(lease.tunnelId, LEASE_ENDS.agentRevoked, 'system');
        continue;
      }
      await this.#takePortAgain(lease);
    }
  }

  /**
   * A lease, in the store before anybody hears of it; or the caller's own, where the domain has no room and their end is away. Throws
   * ControlError `invalid_request`, `agent_offline`, `domain_limit`, `queue_full` or `port_pool_exhausted`.
   */
  async request(actor: Actor, agent: AgentRow, wanted: WantedTunnel): Promise<Lease> {
    const { presence, config, activity, log } = this.#options;
    requireSound(wanted);
    if (presence.current(agent.agent_id) === undefined) {
      throw new ControlError('agent_offline', `agent ${agent.name} is offline`);
    }
    const { domain } = TUNNEL_PROTOCOLS[wanted.protocol];
    const counted = this.#countedOf(agent.agent_id);
    const holders = holdersOf(domain, counted, config.domains);
    if (holders.length > 0) {
      const own = sameTunnel(this.ofAgent(agent.agent_id), actorText(actor), wanted);
      if (own !== undefined) return own;
      const resource = { kind: 'agent', agentId: agent.agent_id, labels: labelsOf(agent) } as const;
      throw domainLimit(domain, config.domains, can(actor, 'tunnel.read', resource) ? holders[0] : undefined);
    }
    requireRoom(agent.agent_id, counted);
    const lease = await this.#make(actor, agent.agent_id, wanted);
    const { tunnelId, agentId, protocol, port } = lease;
    log.info({ tunnelId, agentId, protocol, port, operatorId: lease.operatorId }, 'lease made');
    activity.requested(lease);
    for (const listener of this.#requested) listener(lease);
    return lease;
  }

  /** One that is not over and does not end just now. */
  find(tunnelId: string): Lease | undefined {
    const lease = this.#held.get(tunnelId);
    return lease?.isUsable === true ? lease : undefined;
  }

  /** Those of an agent that are not over. */
  ofAgent(agentId: string): Lease[] {
    return this.all().filter((lease) => lease.agentId === agentId);
  }

  /** All that are not over. */
  all(): Lease[] {
    return [...this.live()];
  }

  /** All that are not over, with all that is known of them. */
  live(): readonly LiveLease[] {
    return this.#held.all();
  }

  /**
   * An end has connected, or did so again; `by` is who did, when it is not the lease's own operator. Throws ControlError
   * `tunnel_not_found` when the lease is over.
   */
  async legUp(tunnelId: string, side: LegSide, by?: Actor): Promise<void> {
    const lease = this.#usable(tunnelId);
    lease.legUp(side);
    this.#options.activity.attached(lease, side, by);
    await this.#save(lease);
  }

  /** An end has gone. Of a lease that is over, or an end that was not there, it says nothing new. */
  async legGone(tunnelId: string, side: LegSide, reason: string): Promise<void> {
    const lease = this.#held.get(tunnelId);
    if (lease === undefined || !lease.legGone(side)) return;
    this.#options.activity.detached(lease, side, reason);
    await this.#save(lease);
  }

  /** The next epoch, stored before it is answered. */
  async nextEpoch(tunnelId: string): Promise<number> {
    const lease = this.#usable(tunnelId);
    lease.epoch += 1;
    const { epoch } = lease;
    await this.#writes.write(lease);
    return epoch;
  }

  /** A frame of a channel has passed: so many bytes to the agent, or from it. Stored with the next sweep. */
  noteTraffic(tunnelId: string, up: number, down: number): void {
    this.#held.get(tunnelId)?.noteTraffic(up, down);
  }

  /** Ends a lease: its legs at once, then in the store. Whoever comes second only waits. */
  end(tunnelId: string, end: LeaseEnd, by: EndedBy): Promise<void> {
    return this.#held.end(tunnelId, end, by);
  }

  /** Ends every lease of an agent that will not come back. */
  async agentRevoked(agentId: string): Promise<void> {
    await Promise.all(
      this.ofAgent(agentId).map(({ tunnelId }) => this.end(tunnelId, LEASE_ENDS.agentRevoked, 'system')),
    );
  }

  /** Ends what ran out, and stores what was not stored yet. Rejects when some of that failed; the rest is done. */
  async sweep(): Promise<void> {
    const swept = await Promise.allSettled(this.#held.all().map((lease) => this.#sweepOne(lease)));
    for (const one of swept) if (one.status === 'rejected') throw one.reason;
    const { db, clock } = this.#options;
    if (clock.monotonic() - this.#forgotMs < FORGET_EVERY_MS) return;
    await new LeasesRepository(db).deleteEndedBefore(timestamp(clock, -ENDED_KEPT_MS));
    this.#forgotMs = clock.monotonic();
  }

  /** Sweeps in its interval until `signal` aborts. A sweep that fails is tried again with the next. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    while (!signal.aborted) {
      await this.sweep().catch((error: unknown) => log.warn({ err: error }, 'sweep of leases failed'));
      await clock.sleep(LIMITS.leaseSweepMs, signal).catch(() => undefined);
    }
  }

  /** Stores what was not stored yet, and gives the ports back. The leases go on with the next process. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { ports, log } = this.#options;
    this.#held.unwatch();
    const dirty = this.#held.all().filter(({ isDirty }) => isDirty);
    await Promise.all(
      dirty.map(async (lease) => {
        const { tunnelId } = lease;
        await this.#writes.write(lease).catch((err: unknown) => log.warn({ err, tunnelId }, 'lease not stored'));
      }),
    );
    await ports[Symbol.asyncDispose]();
  }

  async #make(actor: Actor, agentId: string, wanted: WantedTunnel): Promise<LiveLease> {
    const { db, ports, clock, config } = this.#options;
    const tunnelId = uuidv7(clock.now());
    const { domain } = TUNNEL_PROTOCOLS[wanted.protocol];
    const coming = { tunnelId, agentId, domain };
    this.#coming.add(coming);
    try {
      const port = await ports.take(tunnelId);
      const { idle_timeout: idleSeconds, grace_timeout: graceSeconds } = config;
      const lease = newLease({ tunnelId, agentId, port, idleSeconds, graceSeconds }, wanted, actor, clock);
      await new LeasesRepository(db).insert(leaseRow(lease));
      this.#held.hold(lease, actor);
      return lease;
    } catch (error) {
      await ports.release(tunnelId);
      throw error;
    } finally {
      this.#coming.delete(coming);
    }
  }

  async #sweepOne(lease: LiveLease): Promise<void> {
    const end = lease.end ?? lease.overdue();
    if (end !== undefined) await this.end(lease.tunnelId, end, 'system');
    else if (lease.isDirty) await this.#writes.write(lease);
  }

  async #takePortAgain(lease: LiveLease): Promise<void> {
    const { ports, log } = this.#options;
    const { tunnelId, port } = lease;
    try {
      lease.port = await ports.takeAgain(port, tunnelId);
    } catch (error) {
      log.warn({ err: error, tunnelId, port }, 'no port for a lease of before');
      await this.end(tunnelId, LEASE_ENDS.portLost, 'system');
      return;
    }
    if (lease.port !== port)
      log.warn({ tunnelId, from: port, to: lease.port }, 'the port of a lease is lost: it has another');
    await this.#writes.write(lease);
  }

  /** What the store could not be told now, it is told with the next sweep: a leg does not wait for that. */
  async #save(lease: LiveLease): Promise<void> {
    const { tunnelId } = lease;
    await this.#writes.write(lease).catch((err: unknown) => {
      this.#options.log.warn({ err, tunnelId }, 'the state of a lease is not stored yet');
    });
  }

  #usable(tunnelId: string): LiveLease {
    const lease = this.#held.get(tunnelId);
    if (lease?.isUsable !== true) throw tunnelNotFound(tunnelId);
    return lease;
  }

  #countedOf(agentId: string): Counted[] {
    return [...this.all(), ...this.#coming].filter((one) => one.agentId === agentId);
  }
}

import type { Logger } from '@drawbridge/runtime';
import type { AgentLabels } from '../events/agent-labels.ts';
import type { AccessWatch, Watched } from '../operators/access-watch.ts';
import type { Actor } from '../operators/actor.ts';
import { authorise } from '../operators/authorise.ts';
import type { EndedBy, LeaseActivity } from './lease-activity.ts';
import { LEASE_ENDS } from './lease-ends.ts';
import type { LeaseWrites } from './lease-writes.ts';
import type { Lease, LeaseEnd, LiveLease } from './lease.ts';
import type { LeasePorts } from './port-pool.ts';
import { verbOfTunnel } from './tunnel-verb.ts';

export interface HeldLeasesOptions {
  readonly writes: LeaseWrites;
  readonly ports: Pick<LeasePorts, 'release'>;
  readonly access: Pick<AccessWatch, 'watch'>;
  readonly labels: Pick<AgentLabels, 'of'>;
  readonly activity: LeaseActivity;
  readonly log: Logger;
}

interface Held {
  readonly lease: LiveLease;
  /** Ends when its operator loses the right to it. */
  readonly watched: Watched;
  by: EndedBy;
  /** Set while it is being stored that it is over. */
  ending: Promise<void> | undefined;
}

/** The leases that are not over, and how each comes to its end: legs at once, then port and store, then the record. */
export class HeldLeases {
  readonly #options: HeldLeasesOptions;
  readonly #held = new Map<string, Held>();
  readonly #ended: ((lease: Lease, end: LeaseEnd) => void)[] = [];

  constructor(options: HeldLeasesOptions) {
    this.#options = options;
  }

  onEnded(listener: (lease: Lease, end: LeaseEnd) => void): void {
    this.#ended.push(listener);
  }

  get(tunnelId: string): LiveLease | undefined {
    return this.#held.get(tunnelId)?.lease;
  }

  all(): LiveLease[] {
    return Array.from(this.#held.values(), ({ lease }) => lease);
  }

  /** Watches its operator's right to it, whatever they came in with: another sign-in of theirs may go on with it. */
  hold(lease: LiveLease, operator: Actor): void {
    const { access, labels, log } = this.#options;
    const { tunnelId, agentId } = lease;
    const watched = access.watch({ ...operator, credential: undefined }, async (actor) => {
      authorise(actor, verbOfTunnel(lease.protocol), {
        kind: 'agent',
        agentId,
        labels: (await labels.of(agentId)) ?? {},
      });
    });
    this.#held.set(tunnelId, { lease, watched, by: 'system', ending: undefined });
    const rightLost = () =>
      void this.end(tunnelId, LEASE_ENDS.rightLost, 'system').catch((err: unknown) =>
        log.warn({ err, tunnelId }, 'the end of a lease is not stored yet'),
      );
    watched.signal.addEventListener('abort', rightLost, { once: true });
  }

  /** Resolves once it is stored; only the first reason counts. Until then it is held, and the next call tries again. */
  async end(tunnelId: string, end: LeaseEnd, by: EndedBy): Promise<void> {
    const held = this.#held.get(tunnelId);
    if (held === undefined) return;
    const { lease } = held;
    if (lease.isUsable) {
      lease.close(end);
      held.by = by;
      held.watched[Symbol.dispose]();
      for (const listener of this.#ended) listener(lease, end);
    }
    held.ending ??= this.#finish(held).finally(() => {
      held.ending = undefined;
    });
    await held.ending;
  }

  /** Watches nobody any more. */
  unwatch(): void {
    for (const { watched } of this.#held.values()) watched[Symbol.dispose]();
  }

  async #finish({ lease, by }: Held): Promise<void> {
    const { writes, ports, activity, log } = this.#options;
    const { tunnelId, agentId, end } = lease;
    if (end === undefined) return;
    await ports.release(tunnelId);
    if (lease.state === 'closing') lease.closed();
    await writes.write(lease);
    this.#held.delete(tunnelId);
    log.info({ tunnelId, agentId, code: end.code, reason: end.reason }, 'lease over');
    await activity.ended(lease, end, by);
  }
}

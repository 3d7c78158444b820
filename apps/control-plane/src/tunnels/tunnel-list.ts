import type { Kysely } from 'kysely';
import { selects } from '@drawbridge/protocol';
import type { Selector } from '@drawbridge/protocol';
import type { TunnelView } from '@drawbridge/protocol/api';
import type { AgentLabels } from '../events/agent-labels.ts';
import { LeasesRepository } from '../store/leases-repository.ts';
import type { LeaseRow } from '../store/leases-repository.ts';
import type { Schema } from '../store/schema.ts';
import { leaseRow, leaseView } from './lease-rows.ts';
import type { Leases } from './leases.ts';
import type { OperatorTunnels } from './operator-tunnels.ts';
import { systemTunnelView } from './system-tunnel-view.ts';
import type { SystemTunnels } from './system-tunnels.ts';

/** Which tunnels a list is to show. */
export interface TunnelFilter {
  readonly agentId: string | undefined;
  readonly state: TunnelView['state'] | undefined;
  /** Also leases that have ended. */
  readonly includesEnded: boolean;
  /** Only tunnels of agents that one of these selects. */
  readonly scope: readonly Selector[];
}

export interface TunnelListParts {
  readonly db: Kysely<Schema>;
  readonly tunnels: Pick<SystemTunnels, 'list'>;
  readonly leases: Pick<Leases, 'live'>;
  readonly operatorTunnels: Pick<OperatorTunnels, 'channelsOf'>;
  readonly labels: Pick<AgentLabels, 'of'>;
}

/** All tunnels in one list: those of the control plane itself, leases, and leases that have ended lately. */
export class TunnelList {
  readonly #parts: TunnelListParts;

  constructor(parts: TunnelListParts) {
    this.#parts = parts;
  }

  /** By id: at most `limit`, those after `cursor`. */
  async list({ limit, cursor }: { limit: number; cursor: string }, filter: TunnelFilter): Promise<TunnelView[]> {
    const { agentId, state, scope } = filter;
    const live = this.#live().filter(
      (view) =>
        view.tunnel_id > cursor &&
        (agentId === undefined || view.agent_id === agentId) &&
        (state === undefined || view.state === state),
    );
    const shown: TunnelView[] = [];
    for (const view of live.toSorted(byId)) {
      if (shown.length === limit) break;
      if (await this.#isIn(scope, view.agent_id)) shown.push(view);
    }
    const ended = await this.#ended({ limit, cursor }, filter);
    // One that ends while it is read is in both.
    const byTunnel = new Map([...shown, ...ended].map((view) => [view.tunnel_id, view]));
    return Array.from(byTunnel.values()).toSorted(byId).slice(0, limit);
  }

  /** One of them, ended ones too; undefined when there is none. */
  async find(tunnelId: string): Promise<TunnelView | undefined> {
    const live = this.#live().find((view) => view.tunnel_id === tunnelId);
    if (live !== undefined) return live;
    const row = await new LeasesRepository(this.#parts.db).find(tunnelId);
    return row === undefined ? undefined : leaseView(row);
  }

  #live(): TunnelView[] {
    const { tunnels, leases, operatorTunnels } = this.#parts;
    return [
      ...tunnels.list().map(systemTunnelView),
      ...leases
        .live()
        .map((lease) =>
          leaseView(leaseRow(lease), { legs: lease.legs, channels: operatorTunnels.channelsOf(lease.tunnelId) }),
        ),
    ];
  }

  async #ended(page: { limit: number; cursor: string }, filter: TunnelFilter): Promise<TunnelView[]> {
    const { state, agentId, scope: labels } = filter;
    const isWanted = filter.includesEnded || state === 'closed' || state === 'expired';
    const rowState = leaseStateOf(state);
    if (!isWanted || (state !== undefined && rowState === undefined)) return [];
    const rows = await new LeasesRepository(this.#parts.db).listEnded(page, { agentId, state: rowState, labels });
    return rows.map((row) => leaseView(row));
  }

  async #isIn(scope: readonly Selector[], agentId: string): Promise<boolean> {
    const labels = await this.#parts.labels.of(agentId);
    return labels !== undefined && scope.some((selector) => selects(selector, labels));
  }
}

/** A state that a lease that has ended can be in. */
function leaseStateOf(state: TunnelView['state'] | undefined): LeaseRow['state'] | undefined {
  return state === 'closed' || state === 'expired' ? state : undefined;
}

function byId(a: TunnelView, b: TunnelView): number {
  return a.tunnel_id < b.tunnel_id ? -1 : 1;
}

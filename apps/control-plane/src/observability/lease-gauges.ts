import { TUNNEL_PROTOCOLS } from '@drawbridge/protocol';
import { LEASE_STATES } from '@drawbridge/protocol/api';
import type { LeaseState } from '@drawbridge/protocol/api';
import { Gauge } from 'prom-client';
import type { Metrics } from './metrics.ts';

/** What is counted of a lease. */
interface CountedLease {
  readonly state: LeaseState;
  readonly domain: string;
}

/** Those that are left when a lease is over. */
const LIVE_STATES = LEASE_STATES.filter((state) => state !== 'closed' && state !== 'expired');
const DOMAINS = new Set<string>(Object.values(TUNNEL_PROTOCOLS).map(({ domain }) => domain));

/** Leases that are not over, and the ports they have: read when somebody asks. */
export function leaseGauges(
  metrics: Metrics,
  leases: { all(): readonly CountedLease[] },
  ports: { readonly used: number; readonly size: number },
): void {
  const registers = [metrics.registry];
  const byState: Gauge<'state'> = new Gauge({
    name: 'drawbridge_tunnel_leases',
    help: 'Leases of tunnels that are not over, by state.',
    labelNames: ['state'],
    registers,
    collect() {
      const all = leases.all();
      for (const state of LIVE_STATES) byState.set({ state }, all.filter((lease) => lease.state === state).length);
    },
  });
  const byDomain: Gauge<'domain'> = new Gauge({
    name: 'drawbridge_tunnel_domain_leases',
    help: 'Leases of tunnels that are not over, by domain.',
    labelNames: ['domain'],
    registers,
    collect() {
      const all = leases.all();
      for (const domain of DOMAINS) byDomain.set({ domain }, all.filter((lease) => lease.domain === domain).length);
    },
  });
  metrics.gauge('drawbridge_tunnel_ports', 'Ports that leases can have; 0 where all share one.', () => ports.size);
  metrics.gauge('drawbridge_tunnel_ports_used', 'Ports that leases have.', () => ports.used);
}

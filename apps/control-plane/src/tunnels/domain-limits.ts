import { ControlError, LIMITS, TUNNEL_PROTOCOLS, limitGroupOf } from '@drawbridge/protocol';
import type { TunnelProtocol, TunnelTarget } from '@drawbridge/protocol';
import type { Lease } from './lease.ts';

/** What somebody wants of a tunnel. */
export interface WantedTunnel {
  readonly protocol: TunnelProtocol;
  readonly domain?: string | undefined;
  readonly target?: TunnelTarget | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

/** How many leases of one agent each group of domains has at once; absent or 0: as many as there are. */
export type DomainLimits = Readonly<Record<string, number>>;

/** What counts against a limit: a lease, or one that is being made. */
export type Counted = Pick<Lease, 'tunnelId' | 'agentId' | 'domain'>;

const METADATA_ENTRIES_MAX = 32;

/** Throws ControlError `invalid_request` for a wish that contradicts itself. */
export function requireSound({ protocol, domain, target, metadata = {} }: WantedTunnel): void {
  const facts = TUNNEL_PROTOCOLS[protocol];
  if (domain !== undefined && domain !== facts.domain) {
    throw new ControlError('invalid_request', `domain: that of ${protocol} is ${facts.domain}`);
  }
  if (target !== undefined && facts.carries !== 'tcp') {
    throw new ControlError('invalid_request', `target: ${protocol} is not dialled`);
  }
  if (Object.keys(metadata).length > METADATA_ENTRIES_MAX) {
    throw new ControlError('invalid_request', `metadata: more than ${METADATA_ENTRIES_MAX} entries`);
  }
}

/** Those that keep an agent from having one more lease of this domain; empty while it may. */
export function holdersOf(domain: string, ofAgent: readonly Counted[], limits: DomainLimits): readonly Counted[] {
  const group = limitGroupOf(domain);
  const limit = limits[group] ?? 0;
  const holders = ofAgent.filter((one) => limitGroupOf(one.domain) === group);
  return limit > 0 && holders.length >= limit ? holders : [];
}

/** The tunnel that is asked for once more by who has it, and whose end is not there. */
export function sameTunnel(
  ofAgent: readonly Lease[],
  operatorId: string,
  { protocol, target }: WantedTunnel,
): Lease | undefined {
  return ofAgent.find(
    (lease) =>
      lease.operatorId === operatorId &&
      lease.protocol === protocol &&
      JSON.stringify(lease.target) === JSON.stringify(target ?? null) &&
      (lease.state === 'pending' || lease.state === 'grace') &&
      !lease.legs.operator,
  );
}

/** The refusal; `seen` is the holder that the caller may know of. */
export function domainLimit(domain: string, limits: DomainLimits, seen: Counted | undefined): ControlError {
  const limit = limits[limitGroupOf(domain)] ?? 0;
  const holder = seen === undefined ? '' : `, and tunnel ${seen.tunnelId} has it`;
  const message = `${domain}: the agent takes ${limit} of ${limitGroupOf(domain).replaceAll('_', ', ')} at once${holder}`;
  const details = { domain, limit, ...(seen === undefined ? {} : { tunnel_id: seen.tunnelId }) };
  return new ControlError('domain_limit', message, { details });
}

/** Throws ControlError `queue_full` when an agent has as many leases as it may. */
export function requireRoom(agentId: string, ofAgent: readonly Counted[]): void {
  if (ofAgent.length < LIMITS.leasesPerAgentMax) return;
  throw new ControlError('queue_full', `agent ${agentId} has ${LIMITS.leasesPerAgentMax} tunnels already`);
}

import type { Logger } from '@drawbridge/runtime';
import type { AuditDetails } from '../audit/audit-details.ts';
import type { AuditEntry } from '../audit/audit-entry.ts';
import type { Publish } from '../events/event-feed.ts';
import { addressKey } from '../limits/address-key.ts';
import type { TokenBuckets } from '../limits/token-buckets.ts';

/** Something an agent did, or that was done for it, without anybody asking over HTTP. */
interface Happening {
  readonly agentId: string;
  readonly verb: 'agent.connect' | 'agent.disconnect' | 'tunnel.open' | 'tunnel.close';
  readonly result: AuditEntry['result'];
  /** Why it was refused, or ended. */
  readonly reason: string | null;
  readonly address: string | null;
  readonly details: AuditDetails;
}

export interface AgentActivityParts {
  readonly audit: { record(entry: AuditEntry): Promise<void> };
  readonly publish: Publish;
  readonly log: Logger;
  /** How many refusals of an address are recorded; metrics count the others. */
  readonly refusals: Pick<TokenBuckets, 'spend'>;
}

/**
 * Records what agents do: connections, their ends and the reasons, tunnels (S2-059, S3-144). Nobody waits for these records: an
 * agent is not kept out because one could not be written, which is logged instead.
 */
export class AgentActivity {
  readonly #audit: AgentActivityParts['audit'];
  readonly #publish: Publish;
  readonly #log: Logger;
  readonly #refusals: AgentActivityParts['refusals'];

  constructor({ audit, publish, log, refusals }: AgentActivityParts) {
    this.#audit = audit;
    this.#publish = publish;
    this.#log = log;
    this.#refusals = refusals;
  }

  connected(agent: { agentId: string; epoch: number; version: string; address: string }): void {
    const { agentId, epoch, version, address } = agent;
    const details = { epoch, version };
    this.#record({ agentId, verb: 'agent.connect', result: 'allowed', reason: null, address, details });
  }

  disconnected({
    agentId,
    epoch,
    code,
    reason,
  }: {
    agentId: string;
    epoch: number;
    code: number;
    reason: string;
  }): void {
    const details = { epoch, close_code: code };
    this.#record({ agentId, verb: 'agent.disconnect', result: 'allowed', reason, address: null, details });
  }

  /** Somebody came as this agent and was turned away. They need not be anybody: so much of an address, no more. */
  refused({ agentId, address, code }: { agentId: string; address: string; code: string }): void {
    if (!this.#refusals.spend(addressKey(address))) return;
    this.#record({ agentId, verb: 'agent.connect', result: 'denied', reason: code, address, details: {} });
  }

  tunnelOpened(agentId: string, tunnelId: string): void {
    this.#publish({ type: 'tunnel.opened', resource: `tunnel:${tunnelId}`, agentId, data: { kind: 'system' } });
    const details = { tunnel_id: tunnelId };
    this.#record({ agentId, verb: 'tunnel.open', result: 'allowed', reason: null, address: null, details });
  }

  tunnelClosed(agentId: string, tunnelId: string, reason: string): void {
    this.#publish({ type: 'tunnel.closed', resource: `tunnel:${tunnelId}`, agentId, data: { kind: 'system', reason } });
    const details = { tunnel_id: tunnelId };
    this.#record({ agentId, verb: 'tunnel.close', result: 'allowed', reason, address: null, details });
  }

  #record({ agentId, ...happening }: Happening): void {
    const { verb, result, reason } = happening;
    const resource = `agent:${agentId}`;
    const entry = { ...happening, actor: resource, actorName: null, resource, agentId, requestId: null };
    this.#audit.record(entry).then(
      () => this.#publish({ type: 'activity.recorded', resource, agentId, data: { verb, result, reason } }),
      (error: unknown) => this.#log.error({ err: error, agentId, verb }, 'activity of an agent is not recorded'),
    );
  }
}

import { BACKOFF, backoffMs } from '@drawbridge/link';
import type { Clock } from '@drawbridge/link';
import { CloseReason, ControlError } from '@drawbridge/protocol';
import type { Logger } from '@drawbridge/runtime';
import type { Presence } from '../agents/presence.ts';
import type { CommandService } from '../commands/command-service.ts';
import { askToDial } from './ask-to-dial.ts';
import { agentClaims } from './lease-claims.ts';
import type { Lease, LeaseEnd } from './lease.ts';
import type { TunnelTokens } from './tunnel-tokens.ts';

/** Between two times that an agent is asked to dial, when it did not: up to half a minute. */
const ASK_BACKOFF = { ...BACKOFF.full_jitter, maxMs: 30_000 };

/** What an agent says for itself that asking again will not change, and what its operator is told. */
const FINAL_REFUSALS: Readonly<Record<string, CloseReason>> = {
  domain_limit: CloseReason.DomainLimit,
  forbidden: CloseReason.Forbidden,
  operation_not_allowed: CloseReason.Forbidden,
  unsupported: CloseReason.Forbidden,
};

export interface DialRequestsOptions {
  readonly tokens: TunnelTokens;
  readonly commands: CommandService;
  readonly presence: Pick<Presence, 'current'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Whether leases have listeners of their own, which agents have to be told of. */
  readonly hasOwnPorts: boolean;
  readonly random?: () => number;
  /** Whether the lease still lacks its agent's end. */
  readonly isWanted: (lease: Lease) => boolean;
  /** The agent will not, for a reason of its own. */
  readonly onRefused: (lease: Lease, end: LeaseEnd) => void;
}

/** Asks agents for their ends of leases: with a fresh token each time, until the end is there, or the agent is not (S3-099). */
export class DialRequests {
  readonly #options: DialRequestsOptions;
  readonly #asking = new Map<string, AbortController>();
  #isClosed = false;

  constructor(options: DialRequestsOptions) {
    this.#options = options;
  }

  /** Begins to ask; for one that is asked already nothing changes. An agent that is offline is to be asked when it comes. */
  ask(lease: Lease): void {
    const { tunnelId } = lease;
    if (this.#isClosed || this.#asking.has(tunnelId)) return;
    const stop = new AbortController();
    this.#asking.set(tunnelId, stop);
    this.#askUntilThere(lease, stop.signal)
      .catch((error: unknown) => this.#options.log.error({ err: error, tunnelId }, 'an agent is not asked any more'))
      .finally(() => {
        if (this.#asking.get(tunnelId) === stop) this.#asking.delete(tunnelId);
      })
      .catch(() => undefined);
  }

  /** The end has come, or is not wanted any more. */
  stop(tunnelId: string): void {
    this.#asking.get(tunnelId)?.abort(new Error('not asked any more'));
    this.#asking.delete(tunnelId);
  }

  close(): void {
    this.#isClosed = true;
    for (const tunnelId of Array.from(this.#asking.keys())) this.stop(tunnelId);
  }

  async #askUntilThere(lease: Lease, signal: AbortSignal): Promise<void> {
    const { presence, clock, log, isWanted, onRefused, random = Math.random } = this.#options;
    const { tunnelId, agentId } = lease;
    const isAsked = () => !signal.aborted && isWanted(lease) && presence.current(agentId) !== undefined;
    let wasFull = false;
    for (let failures = 0; isAsked(); failures += 1) {
      try {
        await this.#askOnce(lease, signal);
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof ControlError)) throw error;
        const agentCode = String(error.details?.['agentCode']);
        const final = FINAL_REFUSALS[agentCode];
        // That another tunnel is over comes to the agent by another connection, and maybe later, than this request.
        const mayHaveRoomSoon = agentCode === 'domain_limit' && !wasFull;
        wasFull = agentCode === 'domain_limit';
        if (final !== undefined && !mayHaveRoomSoon) return onRefused(lease, { code: final, reason: error.message });
        log.warn({ tunnelId, agentId, code: error.code, reason: error.message }, 'the agent has not dialled');
      }
      await clock.sleep(backoffMs(ASK_BACKOFF, failures, random), signal).catch(() => undefined);
    }
  }

  /** Resolves when it has dialled, or `signal` aborts: somebody knows that it has. */
  async #askOnce(lease: Lease, signal: AbortSignal): Promise<void> {
    const { tokens, hasOwnPorts } = this.#options;
    const { agentId, tunnelId, port, operatorName, operatorId } = lease;
    const token = await tokens.issue(agentClaims(lease), 'tunnel-agent');
    const operator = operatorName ?? operatorId;
    const params = { tunnel_id: tunnelId, kind: 'operator', token, operator, ...(hasOwnPorts && { port }) } as const;
    const over = Promise.withResolvers<void>();
    const onAbort = () => over.resolve();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      await askToDial(this.#options, { agentId, params }, over.promise);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }
}

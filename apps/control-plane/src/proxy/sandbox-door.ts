import type { Clock } from '@drawbridge/link';
import { ControlError } from '@drawbridge/protocol';
import type { Verb } from '@drawbridge/protocol/api';
import { agentNotFound, agentResource } from '../agents/agent-resource.ts';
import type { AgentService } from '../agents/agent-service.ts';
import type { AuditEntry } from '../audit/audit-entry.ts';
import type { AgentLabels } from '../events/agent-labels.ts';
import type { AccessWatch } from '../operators/access-watch.ts';
import { actorText } from '../operators/actor.ts';
import type { Actor } from '../operators/actor.ts';
import { authorise } from '../operators/authorise.ts';
import type { Resource } from '../operators/authorise.ts';
import type { Backend } from './backend-connections.ts';
import { PROXY_LIMITS } from './limits.ts';
import { RecentUses } from './recent-uses.ts';
import type { SandboxAddress } from './sandbox-path.ts';

/** The right that opens a port, by whatever way. */
export const PROXY_VERB = 'tunnel.open' satisfies Verb;

/** A request as its audit record names it. */
export interface Visit {
  readonly actor: Actor;
  readonly address: string;
  readonly requestId: string | null;
}

/** The agent behind an address. */
export interface Sandbox {
  readonly agentId: string;
  readonly port: number;
  readonly resource: Resource;
}

/** A place for one request or WebSocket. Dispose it when that is over. */
export interface Pass extends Disposable {
  readonly backend: Backend;
  /** Aborts once the right is gone, with the reason as a ControlError. */
  readonly signal: AbortSignal;
}

export interface SandboxDoorOptions {
  readonly agents: Pick<AgentService, 'find'>;
  readonly labels: Pick<AgentLabels, 'of'>;
  readonly access: AccessWatch;
  readonly audit: { record(entry: AuditEntry): Promise<void> };
  readonly clock: Clock;
}

/** Who reaches which port of which agent through the proxy: for HTTP and for WebSockets alike. */
export class SandboxDoor {
  readonly #options: SandboxDoorOptions;
  readonly #uses: RecentUses;
  /** By agent: requests and WebSockets under way. */
  readonly #underWay = new Map<string, number>();
  /** The same by actor and agent. */
  readonly #ofActor = new Map<string, number>();

  constructor(options: SandboxDoorOptions) {
    this.#options = options;
    this.#uses = new RecentUses(options.clock);
  }

  /** How many are under way. */
  get size(): number {
    return [...this.#underWay.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Throws ControlError `agent_not_found`, or `unsupported` for a container. Whether the caller may know of it is not asked here. */
  async find({ sandbox, port }: SandboxAddress): Promise<Sandbox> {
    // No agent's name has a dot: this says nothing about which agents there are.
    if (sandbox.includes('.'))
      throw new ControlError('unsupported', 'ports inside containers are not served: name the agent alone');
    const agent = await this.#options.agents.find(sandbox);
    return { agentId: agent.agent_id, port, resource: agentResource(agent, sandbox) };
  }

  /** Throws what `authorise` throws. */
  authorise(actor: Actor, { resource }: Sandbox): void {
    authorise(actor, PROXY_VERB, resource);
  }

  /**
   * Lets somebody in who may. Their use of the port is recorded first, once for as long as it goes on. Throws ControlError
   * `queue_full` when too much is under way, and `store_unavailable` when the record cannot be kept.
   */
  async enter(visit: Visit, { agentId, port, resource }: Sandbox): Promise<Pass> {
    const { actor } = visit;
    const count = this.#underWay.get(agentId) ?? 0;
    if (count >= PROXY_LIMITS.exchangesPerAgentMax)
      throw new ControlError('queue_full', `${count} requests to agent ${agentId} are under way`);
    const who = `${actorText(actor)} ${agentId}`;
    const own = this.#ofActor.get(who) ?? 0;
    if (own >= PROXY_LIMITS.exchangesPerActorMax)
      throw new ControlError('queue_full', `${own} requests of yours to agent ${agentId} are under way`);
    this.#underWay.set(agentId, count + 1);
    this.#ofActor.set(who, own + 1);
    const left = () => {
      countDown(this.#underWay, agentId);
      countDown(this.#ofActor, who);
    };
    try {
      const use = `${actorText(actor)} ${agentId} ${port}`;
      await this.#uses.begin(use, () => this.#record(visit, { agentId, port }, 'allowed', null));
    } catch (error) {
      left();
      throw error;
    }
    const watched = this.#options.access.watch(actor, (now) => this.#mayStill(now, agentId, resource));
    let isOver = false;
    return {
      backend: { agentId, port, actor },
      signal: watched.signal,
      [Symbol.dispose]: () => {
        if (isOver) return;
        isOver = true;
        watched[Symbol.dispose]();
        left();
      },
    };
  }

  /** Records that somebody was turned away, who comes in by no route that does. */
  refused(visit: Visit, { agentId, port }: Pick<Sandbox, 'agentId' | 'port'>, reason: string): Promise<void> {
    return this.#record(visit, { agentId, port }, 'denied', reason);
  }

  /** With the labels of now: whoever changes them moves the agent out of somebody's reach. */
  async #mayStill(actor: Actor, agentId: string, resource: Resource): Promise<void> {
    const labels = await this.#options.labels.of(agentId);
    if (labels === undefined || resource.kind !== 'agent') throw agentNotFound(agentId);
    authorise(actor, PROXY_VERB, { ...resource, labels });
  }

  #record(
    { actor, address, requestId }: Visit,
    { agentId, port }: Pick<Sandbox, 'agentId' | 'port'>,
    result: 'allowed' | 'denied',
    reason: string | null,
  ): Promise<void> {
    return this.#options.audit.record({
      actor: actorText(actor),
      actorName: actor.name,
      verb: PROXY_VERB,
      resource: `agent:${agentId}`,
      agentId,
      address,
      requestId,
      result,
      reason,
      details: { port, via: 'proxy' },
    });
  }
}

function countDown(counts: Map<string, number>, key: string): void {
  const left = (counts.get(key) ?? 1) - 1;
  if (left === 0) counts.delete(key);
  else counts.set(key, left);
}

import { randomUUID } from 'node:crypto';
import { firstMessage } from '@drawbridge/link';
import type { Clock, MessageSocket, SocketEnd } from '@drawbridge/link';
import { WsClose } from '@drawbridge/protocol';
import type { AuthPayload } from '@drawbridge/protocol';
import type { Logger } from '@drawbridge/runtime';
import type { Kysely } from 'kysely';
import type { AgentActivity } from '../agents/agent-activity.ts';
import { agentResource } from '../agents/agent-resource.ts';
import type { AgentSettings } from '../agents/agent-settings.ts';
import type { Attached, LiveLink, Presence } from '../agents/presence.ts';
import type { Delivery } from '../commands/delivery.ts';
import type { Reaper } from '../commands/reaper.ts';
import type { ServerIdentity } from '../identity/server-identity.ts';
import type { ConnectionKind } from '../observability/link-metrics.ts';
import type { Metrics } from '../observability/metrics.ts';
import { agentActor } from '../operators/actor.ts';
import { authorise } from '../operators/authorise.ts';
import { AgentsRepository } from '../store/agents-repository.ts';
import type { AgentRow } from '../store/agents-repository.ts';
import { JournalsRepository } from '../store/journals-repository.ts';
import type { Schema } from '../store/schema.ts';
import { timestamp } from '../store/timestamp.ts';
import { shakeHands } from './agent-handshake.ts';
import type { AgentInbox } from './agent-inbox.ts';
import { AgentLink } from './agent-link.ts';
import { sendMessage } from './send-message.ts';

export interface AgentDoorOptions {
  readonly db: Kysely<Schema>;
  readonly identity: ServerIdentity;
  readonly presence: Presence;
  readonly inbox: AgentInbox;
  readonly delivery: Delivery;
  /** Who has tunnels that this agent may lack an end of, or have with another process. */
  readonly tunnels: readonly { linkUp(link: LiveLink): void }[];
  readonly reaper: Reaper;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly settings: Pick<AgentSettings, 'toldTo' | 'linkUp'>;
  readonly activity: AgentActivity;
}

/** Who wants to know how the handshake went. */
export interface Visitor {
  readonly address: string;
  /** It is no stranger any more. */
  readonly authenticated: () => void;
  /** Its credential is wrong. */
  readonly refused: () => void;
}

/** Where agents come in: from the accepted socket to a live link, and to its end. */
export class AgentDoor {
  readonly #options: AgentDoorOptions;

  constructor(options: AgentDoorOptions) {
    this.#options = options;
  }

  /** Serves one connection of `agent`. Resolves at its end. */
  async serve(agent: AgentRow, sessionId: string, socket: MessageSocket, visitor: Visitor): Promise<void> {
    const { identity, clock } = this.#options;
    const first = firstMessage(socket);
    const auth = await shakeHands({ socket, first, agent, sessionId, identity, clock, onRefused: visitor.refused });
    if (auth === undefined) {
      this.#options.log.warn({ agentId: agent.agent_id }, 'agent turned away');
      this.#options.metrics.refusals.refused('link', 'auth_failed');
      this.#options.activity.refused({ agentId: agent.agent_id, address: visitor.address, code: 'auth_failed' });
      return;
    }
    authorise(agentActor(agent), 'agent.connect', agentResource(agent, agent.agent_id));
    const link = await this.#admit(agent, auth, first.rest);
    visitor.authenticated();
    if (link === undefined) return;
    const { agentId, epoch } = link;
    this.#options.activity.connected({ agentId, epoch, version: auth.version, address: visitor.address });
    try {
      await this.#options.delivery.linkUp(link);
    } catch (error) {
      this.#options.log.error({ err: error, agentId: agent.agent_id }, 'delivery could not start');
      link.end(WsClose.TryAgainLater, 'store unavailable');
    }
    const end = await link.ended;
    await this.#gone(link, end);
  }

  /** Gives the connection its epoch, makes it the agent's only one, and starts to read it. */
  async #admit(agent: AgentRow, auth: AuthPayload, socket: MessageSocket): Promise<AgentLink | undefined> {
    const { db, clock, presence, tunnels, metrics, log } = this.#options;
    const now = timestamp(clock);
    // Not a transaction: that would hold the store while it waits for us, agent after agent, when all come back at once.
    const [epoch, lastSeq, settings] = await Promise.all([
      new AgentsRepository(db).connect(
        agent.agent_id,
        {
          version: auth.version,
          os: auth.os ?? null,
          arch: auth.arch ?? null,
          capabilities: JSON.stringify(auth.capabilities),
          ...(auth.machine_id === undefined ? {} : { machine_id: auth.machine_id }),
        },
        now,
      ),
      new JournalsRepository(db).lastSeq(agent.agent_id, auth.journal_id, now),
      this.#options.settings.toldTo(agent.agent_id),
    ]);
    if (epoch === undefined) {
      socket.close(WsClose.PolicyViolation, '403 agent revoked');
      return undefined;
    }
    const link = new AgentLink({
      socket,
      clock,
      inbox: this.#options.inbox,
      metrics: metrics.links,
      agentId: agent.agent_id,
      epoch,
      journalId: auth.journal_id,
      instance: auth.instance,
      journalOutdated: lastSeq > auth.last_event_seq,
      onError: (error) => log.error({ err: error, agentId: agent.agent_id }, 'message not handled'),
    });
    const attached = presence.attach(link);
    if (attached === undefined) {
      socket.close(WsClose.Superseded, 'superseded');
      return undefined;
    }
    metrics.links.opened(kindOf(epoch, attached));
    for (const each of tunnels) each.linkUp(link);
    if (attached.superseded !== undefined) attached.superseded.end(WsClose.Superseded, 'superseded');
    if (attached.duplicateIdentity) {
      log.error(
        { agentId: agent.agent_id, name: agent.name, code: 'duplicate_identity' },
        'two machines share one identity: a cloned machine?',
      );
    }
    const sessionId = randomUUID();
    sendMessage(socket, clock, 'auth_response', {
      status: 'authenticated',
      session_id: sessionId,
      epoch,
      config: settings.config,
      last_event_seq: lastSeq,
    });
    link.listen();
    await this.#options.settings.linkUp(link, settings).catch((error: unknown) => {
      log.warn({ err: error, agentId: link.agentId }, 'agent not told its settings');
    });
    const { agentId, journalOutdated } = link;
    log.info({ agentId, sessionId, epoch, journalOutdated }, 'agent connected');
    return link;
  }

  async #gone(link: AgentLink, { code, reason }: SocketEnd): Promise<void> {
    const { presence, reaper, metrics, activity, log } = this.#options;
    const { agentId, epoch } = link;
    log.info({ agentId, epoch, code }, 'agent disconnected');
    activity.disconnected({ agentId, epoch, code, reason });
    metrics.links.closed(code);
    if (presence.detach(link)) await reaper.linkGone(link);
  }
}

function kindOf(epoch: number, { superseded }: Attached): ConnectionKind {
  if (epoch === 1) return 'first';
  return superseded === undefined ? 'reconnect' : 'superseding';
}

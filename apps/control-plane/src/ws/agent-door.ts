import { randomUUID } from 'node:crypto';
import { firstMessage } from '@drawbridge/link';
import type { Clock, MessageSocket } from '@drawbridge/link';
import { WsClose } from '@drawbridge/protocol';
import type { AuthPayload } from '@drawbridge/protocol';
import type { Logger } from '@drawbridge/runtime';
import type { Kysely } from 'kysely';
import type { Presence } from '../agents/presence.ts';
import type { Delivery } from '../commands/delivery.ts';
import type { Reaper } from '../commands/reaper.ts';
import type { ServerIdentity } from '../identity/server-identity.ts';
import { AgentsRepository } from '../store/agents-repository.ts';
import type { AgentRow } from '../store/agents-repository.ts';
import { JournalsRepository } from '../store/journals-repository.ts';
import type { Schema } from '../store/schema.ts';
import { timestamp } from '../store/timestamp.ts';
import type { SystemTunnels } from '../tunnels/system-tunnels.ts';
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
  readonly tunnels: SystemTunnels;
  readonly reaper: Reaper;
  readonly clock: Clock;
  readonly log: Logger;
  readonly linkConfig: { readonly heartbeat_interval: number; readonly command_timeout: number };
}

/** Where agents come in: from the accepted socket to a live link, and to its end. */
export class AgentDoor {
  readonly #options: AgentDoorOptions;

  constructor(options: AgentDoorOptions) {
    this.#options = options;
  }

  /** Serves one connection of `agent`; `onAuthenticated` is told once it is no stranger any more. Resolves at its end. */
  async serve(agent: AgentRow, sessionId: string, socket: MessageSocket, onAuthenticated: () => void): Promise<void> {
    const { identity, clock } = this.#options;
    const first = firstMessage(socket);
    const auth = await shakeHands({ socket, first, agent, sessionId, identity, clock });
    if (auth === undefined) {
      this.#options.log.warn({ agentId: agent.agent_id }, 'agent turned away');
      return;
    }
    const link = await this.#admit(agent, auth, first.rest);
    onAuthenticated();
    if (link === undefined) return;
    try {
      await this.#options.delivery.linkUp(link);
    } catch (error) {
      this.#options.log.error({ err: error, agentId: agent.agent_id }, 'delivery could not start');
      link.end(WsClose.TryAgainLater, 'store unavailable');
    }
    const end = await link.ended;
    await this.#gone(link, end.code);
  }

  /** Gives the connection its epoch, makes it the agent's only one, and starts to read it. */
  async #admit(agent: AgentRow, auth: AuthPayload, socket: MessageSocket): Promise<AgentLink | undefined> {
    const { db, clock, presence, tunnels, log } = this.#options;
    const now = timestamp(clock);
    // Not a transaction: that would hold the store while it waits for us, agent after agent, when all come back at once.
    const [epoch, lastSeq] = await Promise.all([
      new AgentsRepository(db).connect(
        agent.agent_id,
        {
          version: auth.version,
          os: auth.os ?? null,
          arch: auth.arch ?? null,
          capabilities: JSON.stringify(auth.capabilities),
        },
        now,
      ),
      new JournalsRepository(db).lastSeq(agent.agent_id, auth.journal_id, now),
    ]);
    if (epoch === undefined) {
      socket.close(WsClose.PolicyViolation, '403 agent revoked');
      return undefined;
    }
    const link = new AgentLink({
      socket,
      clock,
      inbox: this.#options.inbox,
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
    tunnels.linkUp(link);
    if (attached.superseded !== undefined) attached.superseded.end(WsClose.Superseded, 'superseded');
    if (attached.duplicateIdentity) {
      log.error(
        { agentId: agent.agent_id, name: agent.name, code: 'duplicate_identity' },
        'two machines share one identity: a cloned machine?',
      );
    }
    sendMessage(socket, clock, 'auth_response', {
      status: 'authenticated',
      session_id: randomUUID(),
      epoch,
      config: this.#options.linkConfig,
      last_event_seq: lastSeq,
    });
    link.listen();
    log.info({ agentId: agent.agent_id, epoch, journalOutdated: link.journalOutdated }, 'agent connected');
    return link;
  }

  async #gone(link: AgentLink, code: number): Promise<void> {
    const { db, clock, presence, reaper, log } = this.#options;
    log.info({ agentId: link.agentId, epoch: link.epoch, code }, 'agent disconnected');
    if (!presence.detach(link)) return;
    await new AgentsRepository(db).disconnect(link, timestamp(clock));
    await reaper.linkDown(link.agentId);
  }
}

import { randomUUID } from 'node:crypto';
import type { Kysely } from 'kysely';
import type { Clock } from '@drawbridge/link';
import { CloseReason, ControlError, WsClose } from '@drawbridge/protocol';
import type { Labels } from '@drawbridge/protocol';
import type { Logger } from '@drawbridge/runtime';
import type { Reaper } from '../commands/reaper.ts';
import { newSecret, secretHash } from '../operators/secrets.ts';
import { AgentsRepository } from '../store/agents-repository.ts';
import type { AgentRow } from '../store/agents-repository.ts';
import type { Schema } from '../store/schema.ts';
import { isUniqueViolation } from '../store/sqlite/statement-error.ts';
import { timestamp } from '../store/timestamp.ts';
import { isUuid } from '../store/uuid.ts';
import type { SystemTunnels } from '../tunnels/system-tunnels.ts';
import { newAgentRow } from './new-agent-row.ts';
import type { Presence } from './presence.ts';

export interface AgentServiceOptions {
  readonly db: Kysely<Schema>;
  readonly presence: Presence;
  readonly tunnels: SystemTunnels;
  readonly reaper: Reaper;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The registry of agents: found by id or name, made with an API key, revoked. */
export class AgentService {
  readonly #options: AgentServiceOptions;

  constructor(options: AgentServiceOptions) {
    this.#options = options;
  }

  /** By id or by unique name. Throws ControlError `agent_not_found`. */
  async find(idOrName: string): Promise<AgentRow> {
    const agents = new AgentsRepository(this.#options.db);
    const row = isUuid(idOrName) ? await agents.find(idOrName) : await agents.findByName(idOrName);
    if (row === undefined || row.status === 'revoked')
      throw new ControlError('agent_not_found', `no agent ${idOrName.slice(0, 64)}`);
    return row;
  }

  list(limit: number, cursor: string | undefined): Promise<AgentRow[]> {
    return new AgentsRepository(this.#options.db).list(limit, cursor);
  }

  /** Makes an agent that signs in with an API key instead of a device key. The key is returned for the only time. */
  async createWithKey(name: string, labels: Labels, expiresInSeconds: number) {
    const { db, clock } = this.#options;
    const key = `dbk_${newSecret()}`;
    const row = newAgentRow({ agentId: randomUUID(), name, labels, now: timestamp(clock) });
    const expiresAt = timestamp(clock, expiresInSeconds * 1000);
    try {
      await new AgentsRepository(db).insert({
        ...row,
        auth_token_hash: secretHash(key),
        auth_token_expires_at: expiresAt,
      });
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      throw new ControlError('agent_name_taken', `an agent named ${name} exists already`, { cause: error });
    }
    return { agentId: row.agent_id, name, key, expiresAt };
  }

  /** Cuts link and tunnel at once, for good; what was under way is settled. */
  async revoke(idOrName: string): Promise<void> {
    const { db, presence, tunnels, reaper, clock, log } = this.#options;
    const { agent_id: agentId } = await this.find(idOrName);
    if (!(await new AgentsRepository(db).revoke(agentId, timestamp(clock)))) return;
    const link = presence.current(agentId);
    if (link !== undefined) {
      presence.detach(link);
      link.end(WsClose.Revoked, '403 agent revoked');
    }
    presence.changed(agentId);
    tunnels.close(agentId, CloseReason.Forbidden, 'the agent was revoked');
    log.info({ agentId }, 'agent revoked');
    await reaper.agentRevoked(agentId);
  }
}

import { randomUUID } from 'node:crypto';
import type { Kysely } from 'kysely';
import type { Clock } from '@drawbridge/link';
import { CloseReason, ControlError, Labels, WsClose, firstIssue } from '@drawbridge/protocol';
import type { Selector } from '@drawbridge/protocol';
import type { Logger } from '@drawbridge/runtime';
import type { Publish } from '../events/event-feed.ts';
import type { Reaper } from '../commands/reaper.ts';
import { newSecret, secretHash } from '../operators/secrets.ts';
import { AgentsRepository } from '../store/agents-repository.ts';
import type { AgentRow } from '../store/agents-repository.ts';
import type { LabelFilter } from '../store/label-filter.ts';
import { lockAgent } from '../store/lock-agent.ts';
import type { Schema } from '../store/schema.ts';
import { isUniqueViolation } from '../store/statement-error.ts';
import { timestamp } from '../store/timestamp.ts';
import { isUuid } from '../store/uuid.ts';
import type { SystemTunnels } from '../tunnels/system-tunnels.ts';
import { agentNotFound, labelsOf } from './agent-resource.ts';
import { newAgentRow } from './new-agent-row.ts';
import type { Presence } from './presence.ts';

/** Which agents a list is to show. */
export interface AgentFilter {
  readonly scope: LabelFilter;
  readonly selector: Selector;
  readonly status: 'online' | 'offline' | undefined;
}

export interface AgentChange {
  readonly name: string | undefined;
  readonly labels: Readonly<Record<string, string | null>> | undefined;
}

export interface AgentServiceOptions {
  readonly db: Kysely<Schema>;
  readonly presence: Presence;
  readonly tunnels: SystemTunnels;
  readonly reaper: Reaper;
  readonly publish: Publish;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The registry of agents: found by id or name, made with an API key, revoked. */
export class AgentService {
  readonly #options: AgentServiceOptions;
  readonly #revoked: ((agentId: string) => Promise<void>)[] = [];

  constructor(options: AgentServiceOptions) {
    this.#options = options;
  }

  /** Registers who ends what an agent has, when it is cut off for good. */
  onRevoked(listener: (agentId: string) => Promise<void>): void {
    this.#revoked.push(listener);
  }

  /** By id or by unique name. Throws ControlError `agent_not_found`. */
  async find(idOrName: string): Promise<AgentRow> {
    const agents = new AgentsRepository(this.#options.db);
    const row = isUuid(idOrName) ? await agents.find(idOrName) : await agents.findByName(idOrName);
    if (row === undefined || row.status === 'revoked') throw agentNotFound(idOrName);
    return row;
  }

  /** By id or name, even when it was revoked: what it did is still its. Throws ControlError `agent_not_found`. */
  async findAny(idOrName: string): Promise<AgentRow> {
    const agents = new AgentsRepository(this.#options.db);
    const row = isUuid(idOrName) ? await agents.find(idOrName) : await agents.findByName(idOrName);
    if (row === undefined) throw agentNotFound(idOrName);
    return row;
  }

  /** By name: those within `scope` that match. */
  list(page: { limit: number; cursor: string | undefined }, wanted: AgentFilter): Promise<AgentRow[]> {
    return new AgentsRepository(this.#options.db).list(page, [wanted.scope, [wanted.selector]], wanted.status);
  }

  /** What an agent is called and labelled after a change; a label of null goes. Throws `invalid_request` for too many. */
  changed(row: AgentRow, { name, labels = {} }: AgentChange): { name: string; labels: Labels } {
    const kept = Object.entries({ ...labelsOf(row), ...labels }).filter(([, value]) => value !== null);
    const parsed = Labels.safeParse(Object.fromEntries(kept));
    if (!parsed.success) throw new ControlError('invalid_request', firstIssue(parsed.error));
    return { name: name ?? row.name, labels: parsed.data };
  }

  /**
   * Names and labels the agent; rights by labels follow within a second. Throws `conflict` when its labels are not those of `before`
   * any more: by them it was decided who may.
   */
  async update(before: AgentRow, change: { name: string; labels: Labels }): Promise<AgentRow> {
    const { agent_id: agentId } = before;
    const { db, presence, publish, clock, log } = this.#options;
    try {
      const now = timestamp(clock);
      const done = await db.transaction().execute(async (trx) => {
        await lockAgent(trx, agentId);
        const current = await new AgentsRepository(trx).find(agentId);
        if (current !== undefined && current.labels !== before.labels) throw changedMeanwhile(before.name);
        return new AgentsRepository(trx).update(agentId, change, now);
      });
      if (!done) throw agentNotFound(agentId);
    } catch (error) {
      throw nameTaken(error, change.name);
    }
    log.info({ agentId, name: change.name }, 'agent changed');
    presence.changed(agentId);
    publish({ type: 'agent.changed', resource: `agent:${agentId}`, agentId, data: { ...change } });
    return this.findAny(agentId);
  }

  /** Makes an agent that signs in with an API key instead of a device key. The key is returned for the only time. */
  async createWithKey(name: string, labels: Labels, expiresInSeconds: number) {
    const { db, publish, clock } = this.#options;
    const key = `dbk_${newSecret()}`;
    const row = newAgentRow({ agentId: randomUUID(), name, labels, now: timestamp(clock) });
    const expiresAt = timestamp(clock, expiresInSeconds * 1000);
    try {
      await db.transaction().execute((trx) =>
        new AgentsRepository(trx).insert({
          ...row,
          auth_token_hash: secretHash(key),
          auth_token_expires_at: expiresAt,
        }),
      );
    } catch (error) {
      throw nameTaken(error, name);
    }
    const { agent_id: agentId } = row;
    publish({ type: 'agent.enrolled', resource: `agent:${agentId}`, agentId, data: { name, labels } });
    return { agentId, name, key, expiresAt };
  }

  /** Cuts link and tunnel at once, for good; what was under way is settled. */
  async revoke(idOrName: string): Promise<void> {
    const { db, presence, tunnels, reaper, publish, clock, log } = this.#options;
    const { agent_id: agentId, name } = await this.find(idOrName);
    if (!(await new AgentsRepository(db).revoke(agentId, timestamp(clock)))) return;
    const link = presence.current(agentId);
    if (link !== undefined) {
      presence.detach(link);
      link.end(WsClose.Revoked, '403 agent revoked');
    }
    presence.changed(agentId);
    tunnels.close(agentId, CloseReason.Forbidden, 'the agent was revoked');
    log.info({ agentId }, 'agent revoked');
    publish({ type: 'agent.revoked', resource: `agent:${agentId}`, agentId, data: { name } });
    await Promise.all([reaper.agentRevoked(agentId), ...this.#revoked.map((listener) => listener(agentId))]);
  }
}

function changedMeanwhile(name: string): ControlError {
  return new ControlError('conflict', `agent ${name} was labelled by somebody else meanwhile: look at it again`);
}

function nameTaken(error: unknown, name: string): unknown {
  if (!isUniqueViolation(error)) return error;
  return new ControlError('agent_name_taken', `an agent named ${name} exists already`, { cause: error });
}

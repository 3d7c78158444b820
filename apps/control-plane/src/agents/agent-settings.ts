import { randomUUID } from 'node:crypto';
import type { Clock } from '@drawbridge/link';
import { ControlError } from '@drawbridge/protocol';
import type { LinkConfig, LinkConfigUpdate } from '@drawbridge/protocol';
import { AgentConfigView } from '@drawbridge/protocol/api';
import type { Publish } from '../events/event-feed.ts';
import { AgentSettingsRepository } from '../store/agent-settings-repository.ts';
import type { AgentSettingsRow } from '../store/agent-settings-repository.ts';
import type { Db } from '../store/store.ts';
import { timestamp } from '../store/timestamp.ts';
import type { LiveLink, Presence } from './presence.ts';

/** What is to change for one agent: null goes back to what all agents are told, what is left out stays. */
export interface SettingsChange {
  readonly heartbeat_interval?: number | null | undefined;
  readonly command_timeout?: number | null | undefined;
}

/** What an agent is told when it connects. */
export interface ToldSettings {
  readonly config: LinkConfig;
  /** True when it is told something else than all agents: then it is asked for an answer. */
  readonly isItsOwn: boolean;
  /** Changes up to this one are in it. */
  readonly asOf: number;
}

export interface AgentSettingsOptions {
  readonly db: Db;
  readonly presence: Pick<Presence, 'current'>;
  readonly publish: Publish;
  readonly clock: Clock;
  /** What all agents are told. */
  readonly defaults: LinkConfig;
  /** A link is given up after this silence: no agent may be asked to beat more slowly. */
  readonly silenceSeconds: number;
}

/**
 * Settings that one agent is given. It is told at once, and each time it comes; its own file has the last word, and what it says is
 * kept: it does as it was told, or it refuses, and why.
 */
export class AgentSettings {
  readonly #options: AgentSettingsOptions;
  /** The last `config_update` of each link: answers to earlier ones do not count. */
  readonly #asked = new WeakMap<LiveLink, string>();

  /** How many changes there have been, of all agents: a link that comes in the middle of one notices. */
  #changes = 0;

  constructor(options: AgentSettingsOptions) {
    this.#options = options;
  }

  async toldTo(agentId: string): Promise<ToldSettings> {
    const asOf = this.#changes;
    const row = await this.#repository.find(agentId);
    return { config: this.#configOf(row), isItsOwn: row !== undefined, asOf };
  }

  /** The link is up, and `told` was said in its handshake: asks for an answer, and says what has changed meanwhile. */
  async linkUp(link: LiveLink, told: ToldSettings): Promise<void> {
    const isOutdated = told.asOf !== this.#changes;
    const { config, isItsOwn } = isOutdated ? await this.toldTo(link.agentId) : told;
    const isOther = config.heartbeat_interval !== told.config.heartbeat_interval;
    if (isItsOwn || isOther) this.tell(link, config);
  }

  async view(agentId: string): Promise<AgentConfigView> {
    return this.#viewOf(await this.#repository.find(agentId));
  }

  /** Throws ControlError `invalid_request` for an interval with which the link would be given up. */
  async change(agentId: string, change: SettingsChange): Promise<AgentConfigView> {
    const { presence, silenceSeconds } = this.#options;
    const before = await this.#repository.find(agentId);
    const wanted = {
      heartbeat_interval: before?.heartbeat_interval ?? null,
      command_timeout: before?.command_timeout ?? null,
      ...Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined)),
    };
    if (wanted.heartbeat_interval !== null && wanted.heartbeat_interval >= silenceSeconds) {
      const message = `heartbeat_interval ${wanted.heartbeat_interval}: links are given up after ${silenceSeconds} s of silence`;
      throw new ControlError('invalid_request', message);
    }
    const row = await this.#store(agentId, wanted);
    this.#changes += 1;
    const link = presence.current(agentId);
    if (link !== undefined) this.tell(link, this.#configOf(row));
    return this.#told(agentId, row);
  }

  /** Sends what the agent is to do; its answer goes to `taken` or `refused`. */
  tell(link: LiveLink, config: LinkConfig): void {
    const ref = randomUUID();
    this.#asked.set(link, ref);
    link.send('config_update', config, ref);
  }

  /** The agent does as it was told in message `ref`; `applied` is what it does now. Answers to other messages change nothing. */
  async taken(link: LiveLink, ref: string, applied: LinkConfigUpdate | undefined): Promise<void> {
    await this.#answered(link, ref, {
      state: 'applied',
      applied: applied === undefined ? null : JSON.stringify(applied),
      reason: null,
    });
  }

  /** The agent does not do what it was told in message `ref`, and says why: its own words, untrusted. */
  async refused(link: LiveLink, ref: string, reason: string): Promise<void> {
    await this.#answered(link, ref, { state: 'refused', applied: null, reason });
  }

  async #answered(
    link: LiveLink,
    ref: string,
    answer: Pick<AgentSettingsRow, 'state' | 'applied' | 'reason'>,
  ): Promise<void> {
    if (this.#asked.get(link) !== ref) return;
    this.#asked.delete(link);
    await this.#repository.update(link.agentId, { ...answer, answered_at: timestamp(this.#options.clock) });
    this.#told(link.agentId, await this.#repository.find(link.agentId));
  }

  /** Undefined when the agent is told what all are told. */
  async #store(agentId: string, wanted: Required<SettingsChange>): Promise<AgentSettingsRow | undefined> {
    const { heartbeat_interval: heartbeatInterval = null, command_timeout: commandTimeout = null } = wanted;
    if (heartbeatInterval === null && commandTimeout === null) {
      await this.#repository.delete(agentId);
      return undefined;
    }
    const row: AgentSettingsRow = {
      agent_id: agentId,
      heartbeat_interval: heartbeatInterval,
      command_timeout: commandTimeout,
      state: 'pending',
      applied: null,
      reason: null,
      updated_at: timestamp(this.#options.clock),
      answered_at: null,
    };
    await this.#repository.put(row);
    return row;
  }

  #told(agentId: string, row: AgentSettingsRow | undefined): AgentConfigView {
    const config = this.#viewOf(row);
    this.#options.publish({ type: 'agent.changed', resource: `agent:${agentId}`, agentId, data: { config } });
    return config;
  }

  #configOf(row: AgentSettingsRow | undefined): LinkConfig {
    const { defaults } = this.#options;
    return {
      heartbeat_interval: row?.heartbeat_interval ?? defaults.heartbeat_interval,
      command_timeout: row?.command_timeout ?? defaults.command_timeout,
    };
  }

  #viewOf(row: AgentSettingsRow | undefined): AgentConfigView {
    return {
      wanted: {
        heartbeat_interval: row?.heartbeat_interval ?? null,
        command_timeout: row?.command_timeout ?? null,
      },
      told: this.#configOf(row),
      state: row?.state ?? 'default',
      applied: AgentConfigView.shape.applied.parse(JSON.parse(row?.applied ?? 'null')),
      reason: row?.reason ?? null,
      updated_at: row?.updated_at ?? null,
      answered_at: row?.answered_at ?? null,
    };
  }

  get #repository(): AgentSettingsRepository {
    return new AgentSettingsRepository(this.#options.db);
  }
}

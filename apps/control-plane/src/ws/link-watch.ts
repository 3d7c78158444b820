import type { Kysely } from 'kysely';
import type { Clock } from '@drawbridge/link';
import { LIMITS } from '@drawbridge/protocol';
import type { Logger } from '@drawbridge/runtime';
import type { Presence } from '../agents/presence.ts';
import { AgentsRepository } from '../store/agents-repository.ts';
import type { Schema } from '../store/schema.ts';
import { timestamp } from '../store/timestamp.ts';
import { AgentLink } from './agent-link.ts';

/** Ends links without a sign of life, and writes down who was heard: one write for all agents (architecture, decision 3). */
export class LinkWatch {
  readonly #presence: Presence;
  readonly #db: Kysely<Schema>;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #timeoutMs: number;

  constructor(options: { presence: Presence; db: Kysely<Schema>; clock: Clock; log: Logger; timeoutMs: number }) {
    this.#presence = options.presence;
    this.#db = options.db;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#timeoutMs = options.timeoutMs;
  }

  async run(signal: AbortSignal): Promise<void> {
    for (let round = 1; !signal.aborted; round += 1) {
      await this.#clock.sleep(LIMITS.livenessSweepMs, signal).catch(() => undefined);
      this.#dropSilent();
      if (round % (LIMITS.heartbeatFlushMs / LIMITS.livenessSweepMs) === 0) await this.#flush();
    }
  }

  #dropSilent(): void {
    const nowMs = this.#clock.monotonic();
    for (const link of this.#presence.links()) {
      if (!(link instanceof AgentLink) || nowMs - link.heardMs < this.#timeoutMs) continue;
      this.#log.warn({ agentId: link.agentId, epoch: link.epoch }, 'agent is silent: link dropped');
      link.terminate();
    }
  }

  async #flush(): Promise<void> {
    const sinceMs = this.#clock.monotonic() - LIMITS.heartbeatFlushMs * 2;
    const heard = [...this.#presence.links()].flatMap((link) =>
      link instanceof AgentLink && link.heardMs >= sinceMs ? [link.agentId] : [],
    );
    const now = timestamp(this.#clock);
    try {
      for (let index = 0; index < heard.length; index += LIMITS.rowsPerStatementMax) {
        await new AgentsRepository(this.#db).touchHeartbeats(
          heard.slice(index, index + LIMITS.rowsPerStatementMax),
          now,
        );
      }
    } catch (error) {
      this.#log.warn({ err: error }, 'heartbeats not written');
    }
  }
}

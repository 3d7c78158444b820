import type { Kysely } from 'kysely';
import type { Clock } from '@drawbridge/link';
import { LIMITS } from '@drawbridge/protocol';
import type { Logger } from '@drawbridge/runtime';
import type { LiveLink, Presence } from '../agents/presence.ts';
import { CommandsRepository } from '../store/commands-repository.ts';
import type { CommandRow } from '../store/commands-repository.ts';
import type { Schema } from '../store/schema.ts';
import { timestamp } from '../store/timestamp.ts';
import { mayRunAgain } from './command-service.ts';
import type { CommandService } from './command-service.ts';

/** After the store failed, a pause before the next attempt. */
const RETRY_MS = 1_000;

/** What a command gets whose agent came back with a journal that does not know it. */
const JOURNAL_LOST = {
  status: 'indeterminate',
  error: { code: 'indeterminate', message: "the agent's journal was lost or replaced while the command was under way" },
} as const;

/**
 * Sends stored commands to connected agents: oldest first, at most `commandsInFlightMax` unacknowledged, and again after
 * a reconnect as far as that cannot run anything twice.
 */
export class Delivery {
  readonly #commands: CommandService;
  readonly #db: Kysely<Schema>;
  readonly #presence: Presence;
  readonly #clock: Clock;
  readonly #log: Logger;
  /** One pump an agent; `again` means something came while it ran. */
  readonly #pumping = new Map<string, { again: boolean }>();

  constructor(
    commands: CommandService,
    { db, presence, clock, log }: { db: Kysely<Schema>; presence: Presence; clock: Clock; log: Logger },
  ) {
    this.#commands = commands;
    this.#db = db;
    this.#presence = presence;
    this.#clock = clock;
    this.#log = log;
  }

  /** Settles what was under way when the last connection ended, then goes on with what waits. */
  async linkUp(link: LiveLink): Promise<void> {
    if (link.journalOutdated) return;
    const underWay = await new CommandsRepository(this.#db).ofAgent(
      link.agentId,
      ['delivered', 'running'],
      LIMITS.commandsPerAgentMax,
    );
    for (const row of underWay) {
      if (!this.#presence.isCurrent(link)) return;
      await this.#redeliver(link, row);
    }
    this.wake(link.agentId);
  }

  /** Something is queued for this agent, or there is room again. */
  wake(agentId: string): void {
    const running = this.#pumping.get(agentId);
    if (running !== undefined) {
      running.again = true;
      return;
    }
    if (this.#presence.current(agentId) === undefined) return;
    const state = { again: false };
    this.#pumping.set(agentId, state);
    this.#pump(agentId, state).catch((error: unknown) => {
      this.#log.error({ err: error, agentId }, 'delivery stopped: trying again');
      this.#clock.after(RETRY_MS, () => this.wake(agentId));
    });
  }

  /** From its last look at `again` to the end of the pump nothing else runs: no wake-up falls in between. */
  async #pump(agentId: string, state: { again: boolean }): Promise<void> {
    try {
      do {
        state.again = false;
        const link = this.#presence.current(agentId);
        if (link === undefined || link.journalOutdated) return;
        const room = LIMITS.commandsInFlightMax - link.unacknowledged.size;
        if (room <= 0) return;
        const queued = await new CommandsRepository(this.#db).ofAgent(agentId, ['queued'], room);
        for (const row of queued) await this.#deliver(link, row);
        if (queued.length === room) state.again = true;
      } while (state.again);
    } finally {
      this.#pumping.delete(agentId);
    }
  }

  async #deliver(link: LiveLink, row: CommandRow): Promise<void> {
    const now = timestamp(this.#clock);
    if (row.expires_at <= now) {
      await this.#commands.end(row.id, ['queued'], 'expired');
      return;
    }
    const set = {
      state: 'delivered',
      journal_id: link.journalId,
      delivered_at: now,
      // The time limit counts from here for one that waited in the queue.
      deadline_at: row.deadline_at === null ? null : timestamp(this.#clock, row.timeout_seconds * 1000),
    } as const;
    const moved = await this.#commands.move({ id: row.id, from: ['queued'], set, fence: link }, undefined);
    if (moved !== undefined) this.#send(link, moved);
  }

  async #redeliver(link: LiveLink, row: CommandRow): Promise<void> {
    if (row.journal_id !== link.journalId) {
      if (!mayRunAgain(row)) {
        await this.#commands.end(row.id, ['delivered', 'running'], JOURNAL_LOST);
        return;
      }
      const set = { state: 'delivered', journal_id: link.journalId } as const;
      const moved = await this.#commands.move(
        { id: row.id, from: ['delivered', 'running'], set, fence: link },
        undefined,
      );
      if (moved === undefined) return;
    }
    this.#send(link, row);
  }

  #send(link: LiveLink, row: CommandRow): void {
    if (row.cancel_requested_at !== null) link.send('cancel', { command_id: row.id });
    link.unacknowledged.add(row.id);
    const remainingMs =
      row.deadline_at === null
        ? row.timeout_seconds * 1000
        : Math.max(0, Date.parse(row.deadline_at) - this.#clock.now());
    link.send(
      'command',
      { operation: row.operation, params: this.#commands.paramsOf(row), remaining_ms: remainingMs },
      row.id,
    );
  }
}

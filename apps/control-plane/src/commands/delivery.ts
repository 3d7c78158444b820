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
import type { DeliveryRights } from './delivery-rights.ts';

/** After the store failed, a pause before the next attempt. */
const RETRY_MS = 1_000;

/** What a command gets whose agent came back with a journal that does not know it. */
const JOURNAL_LOST = {
  status: 'indeterminate',
  error: { code: 'indeterminate', message: "the agent's journal was lost or replaced while the command was under way" },
} as const;

export interface DeliveryParts {
  readonly db: Kysely<Schema>;
  readonly presence: Presence;
  readonly clock: Clock;
  readonly log: Logger;
  /** The trace a command belongs to, if it belongs to one. */
  readonly traceparentOf?: (commandId: string) => string | undefined;
  /** Asked right before a command goes out. */
  readonly rights: Pick<DeliveryRights, 'refusal'>;
}

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
  readonly #traceparentOf: (commandId: string) => string | undefined;
  readonly #rights: DeliveryParts['rights'];
  /** Links that were told what was under way before them; only these are sent anything new, or it would be sent twice. */
  readonly #settled = new WeakSet<LiveLink>();
  /** One pump an agent; `again` means something came while it ran. */
  readonly #pumping = new Map<string, { again: boolean }>();

  constructor(commands: CommandService, parts: DeliveryParts) {
    this.#commands = commands;
    this.#db = parts.db;
    this.#presence = parts.presence;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#traceparentOf = parts.traceparentOf ?? (() => undefined);
    this.#rights = parts.rights;
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
    this.#settled.add(link);
    this.wake(link.agentId);
  }

  /** The agent's connection, when it may be sent commands by now. */
  #settledLink(agentId: string): LiveLink | undefined {
    const link = this.#presence.current(agentId);
    return link !== undefined && this.#settled.has(link) ? link : undefined;
  }

  /** Something is queued for this agent, or there is room again. */
  wake(agentId: string): void {
    const running = this.#pumping.get(agentId);
    if (running !== undefined) {
      running.again = true;
      return;
    }
    if (this.#settledLink(agentId) === undefined) return;
    const state = { again: false };
    this.#pumping.set(agentId, state);
    this.#pump(agentId, state).catch((error: unknown) => this.#tryAgain(agentId, error));
  }

  #tryAgain(agentId: string, error: unknown): void {
    this.#log.error({ err: error, agentId }, 'delivery stopped: trying again');
    this.#clock.after(RETRY_MS, () => {
      this.#sendUnsent(agentId).then(
        () => this.wake(agentId),
        (again: unknown) => this.#tryAgain(agentId, again),
      );
    });
  }

  /** Of a commit whose answer was lost nobody knows: a command may be `delivered` that was never sent. */
  async #sendUnsent(agentId: string): Promise<void> {
    // One that is away, or comes back meanwhile, is told everything by `linkUp`.
    const link = this.#settledLink(agentId);
    if (link === undefined) return;
    const rows = await new CommandsRepository(this.#db).ofAgent(agentId, ['delivered'], LIMITS.commandsPerAgentMax);
    for (const row of rows) {
      if (!this.#presence.isCurrent(link)) return;
      if (!link.unacknowledged.has(row.id)) await this.#redeliver(link, row);
    }
  }

  /** From its last look at `again` to the end of the pump nothing else runs: no wake-up falls in between. */
  async #pump(agentId: string, state: { again: boolean }): Promise<void> {
    try {
      do {
        state.again = false;
        const link = this.#settledLink(agentId);
        if (link === undefined) return;
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
    const refusal = await this.#rights.refusal(row);
    if (refusal !== undefined) {
      const { code, message } = refusal;
      await this.#commands.end(row.id, ['queued'], { status: 'error', error: { code, message } });
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

  async #redeliver(link: LiveLink, sent: CommandRow): Promise<void> {
    const row = await this.#cancelledIfRefused(sent);
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

  /**
   * What was sent and never acknowledged may not have arrived: then it would begin now, with rights that may be gone. It may have
   * arrived too, so its end is left to the agent, which is told to cancel before it is sent the command again.
   */
  async #cancelledIfRefused(row: CommandRow): Promise<CommandRow> {
    if (row.state !== 'delivered' || row.cancel_requested_at !== null) return row;
    if ((await this.#rights.refusal(row)) === undefined) return row;
    const asked = await new CommandsRepository(this.#db).requestCancel(row.id, ['delivered'], timestamp(this.#clock));
    return asked ?? row;
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
      {
        operation: row.operation,
        params: this.#commands.paramsOf(row),
        remaining_ms: remainingMs,
        traceparent: this.#traceparentOf(row.id),
      },
      row.id,
    );
  }
}

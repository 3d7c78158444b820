import type { Kysely } from 'kysely';
import type { Clock } from '@drawbridge/link';
import type { Logger } from '@drawbridge/runtime';
import type { Presence } from '../agents/presence.ts';
import { AgentsRepository } from '../store/agents-repository.ts';
import { CommandsRepository } from '../store/commands-repository.ts';
import type { Schema } from '../store/schema.ts';
import type { Fence } from '../store/store.ts';
import { timestamp } from '../store/timestamp.ts';
import { UNFINISHED_STATES } from './command-state.ts';
import type { CommandService } from './command-service.ts';

const SWEEP_MS = 1_000;
const SWEEP_ROWS_MAX = 500;

/** Ends what nobody ends: commands whose time in the queue, or at the agent, is over, and those of a revoked agent. */
export class Reaper {
  readonly #commands: CommandService;
  readonly #db: Kysely<Schema>;
  readonly #presence: Presence;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #offline: ((agentId: string) => void)[] = [];
  /** Ends of links that the store has not heard of, by agent: no more than there are agents. */
  readonly #unsettled = new Map<string, Fence>();

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

  /** Registers who is told once it is stored that an agent is offline. A listener is quick and does not throw. */
  onOffline(listener: (agentId: string) => void): void {
    this.#offline.push(listener);
  }

  /** Sweeps every second until `signal` aborts. A sweep that fails is tried again with the next. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.sweep();
      } catch (error) {
        this.#log.warn({ err: error }, 'sweep of overdue commands failed');
      }
      await this.#clock.sleep(SWEEP_MS, signal).catch(() => undefined);
    }
  }

  async sweep(): Promise<void> {
    for (const link of this.#unsettled.values()) await this.#settle(link);
    const repository = new CommandsRepository(this.#db);
    const now = timestamp(this.#clock);
    for (const row of await repository.overdueInQueue(now, SWEEP_ROWS_MAX)) {
      await this.#commands.end(row.id, ['queued'], row.queue_if_offline === 1 ? 'expired' : offline(row.agent_id));
    }
    for (const row of await repository.overdueAtAgent(now, SWEEP_ROWS_MAX)) {
      const message = `no outcome within ${row.timeout_seconds} s`;
      const ended = await this.#commands.end(row.id, ['delivered', 'running'], {
        status: 'error',
        error: { code: 'command_timeout', message },
      });
      if (ended !== undefined) this.#presence.current(row.agent_id)?.send('cancel', { command_id: row.id });
    }
  }

  /** The agent will never come back: what it never saw is cancelled, of the rest nobody knows. */
  async agentRevoked(agentId: string): Promise<void> {
    const repository = new CommandsRepository(this.#db);
    for (;;) {
      const rows = await repository.ofAgent(agentId, UNFINISHED_STATES, SWEEP_ROWS_MAX);
      if (rows.length === 0) return;
      for (const row of rows) {
        await this.#commands.end(row.id, ['queued'], { status: 'cancelled' });
        const message = 'the agent was revoked while the command was under way';
        await this.#commands.end(row.id, ['delivered', 'running'], {
          status: 'indeterminate',
          error: { code: 'indeterminate', message },
        });
      }
    }
  }

  /**
   * The agent is offline: that is stored, and what was not to be queued and was never sent is refused. When the store is
   * away, the next sweep makes up for it.
   */
  async linkGone(link: Fence): Promise<void> {
    this.#unsettled.set(link.agentId, { agentId: link.agentId, epoch: link.epoch });
    try {
      await this.#settle(link);
    } catch (error) {
      this.#log.warn({ err: error, agentId: link.agentId }, 'the end of a link is not stored yet');
    }
  }

  async #settle({ agentId, epoch }: Fence): Promise<void> {
    await new AgentsRepository(this.#db).disconnect({ agentId, epoch }, timestamp(this.#clock));
    for (const listener of this.#offline) listener(agentId);
    // It may be back by now; then what waits for it is sent.
    if (this.#presence.current(agentId) === undefined) await this.linkDown(agentId);
    if (this.#unsettled.get(agentId)?.epoch === epoch) this.#unsettled.delete(agentId);
  }

  /** What was not to be queued and was never sent is refused now. */
  async linkDown(agentId: string): Promise<void> {
    const queued = await new CommandsRepository(this.#db).ofAgent(agentId, ['queued'], SWEEP_ROWS_MAX);
    for (const row of queued) {
      if (row.queue_if_offline === 0) await this.#commands.end(row.id, ['queued'], offline(agentId));
    }
  }
}

function offline(agentId: string) {
  return { status: 'error', error: { code: 'agent_offline', message: `agent ${agentId} is offline` } } as const;
}

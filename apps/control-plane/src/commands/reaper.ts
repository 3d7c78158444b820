import type { Kysely } from 'kysely';
import type { Clock } from '@drawbridge/link';
import type { Logger } from '@drawbridge/runtime';
import type { Presence } from '../agents/presence.ts';
import { CommandsRepository } from '../store/commands-repository.ts';
import type { Schema } from '../store/schema.ts';
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

  /** The link is gone: what was not to be queued and was never sent is refused now. */
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

import type { Kysely } from 'kysely';
import type { Clock } from '@drawbridge/link';
import type { EventPayload, HeartbeatPayload, LinkConfigUpdate, Outcome } from '@drawbridge/protocol';
import type { Logger } from '@drawbridge/runtime';
import type { AgentSettings } from '../agents/agent-settings.ts';
import type { LiveLink, Presence } from '../agents/presence.ts';
import type { CommandService } from '../commands/command-service.ts';
import type { Delivery } from '../commands/delivery.ts';
import { JournalsRepository } from '../store/journals-repository.ts';
import type { Schema } from '../store/schema.ts';
import { timestamp } from '../store/timestamp.ts';
import { isUuid, uuidv7 } from '../store/uuid.ts';
import type { TaskService } from '../tasks/task-service.ts';

export interface AgentInboxOptions {
  readonly db: Kysely<Schema>;
  readonly presence: Presence;
  readonly commands: CommandService;
  readonly delivery: Delivery;
  readonly tasks: TaskService;
  readonly settings: Pick<AgentSettings, 'taken' | 'refused'>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What agents say, handed to the noun it concerns: stored first, acknowledged then. */
export class AgentInbox {
  readonly #options: AgentInboxOptions;

  constructor(options: AgentInboxOptions) {
    this.#options = options;
  }

  isCurrent(link: LiveLink): boolean {
    return this.#options.presence.isCurrent(link);
  }

  async started(link: LiveLink, commandId: string): Promise<void> {
    await this.#options.commands.started(link, commandId);
    this.#acknowledged(link, commandId);
  }

  async ended(link: LiveLink, commandId: string, outcome: Outcome): Promise<void> {
    if (!isUuid(commandId)) {
      const message = 'a command_response carries the id of its command';
      return link.send('error', { code: 'invalid_message', message, ref: commandId });
    }
    await this.#options.commands.ended(link, commandId, outcome);
    link.send('ack', { command_id: commandId });
    this.#acknowledged(link, commandId);
  }

  async event(link: LiveLink, event: EventPayload): Promise<void> {
    const { db, clock, tasks } = this.#options;
    const now = timestamp(clock);
    const stored = {
      id: uuidv7(clock.now()),
      agentId: link.agentId,
      journalId: link.journalId,
      seq: event.seq,
      kind: event.kind,
      data: JSON.stringify(event.data),
    };
    const moved = await db.transaction().execute(async (trx) => {
      const isNew = await new JournalsRepository(trx).append(stored, now);
      return isNew && event.kind === 'task.state' ? tasks.reported(trx, link.agentId, event.data) : undefined;
    });
    if (moved !== undefined) tasks.moved(moved);
    link.send('ack', { event_seq: event.seq });
  }

  telemetry(link: LiveLink, samples: readonly { sample: HeartbeatPayload }[]): void {
    link.health = samples.at(-1)?.sample ?? link.health;
  }

  async settingsTaken(link: LiveLink, ref: string, applied: LinkConfigUpdate | undefined): Promise<void> {
    await this.#options.settings.taken(link, ref, applied);
  }

  async error(link: LiveLink, { code, message, ref }: { code: string; message: string; ref?: string | undefined }) {
    this.#options.log.warn({ agentId: link.agentId, code, ref }, 'agent refused a message');
    if (ref !== undefined) await this.#options.settings.refused(link, ref, message);
  }

  disconnect(link: LiveLink, reason: string): void {
    this.#options.log.info({ agentId: link.agentId, reason: reason.slice(0, 200) }, 'agent says goodbye');
  }

  #acknowledged(link: LiveLink, commandId: string): void {
    if (link.unacknowledged.delete(commandId)) this.#options.delivery.wake(link.agentId);
  }
}

import type { Clock } from '@drawbridge/link';
import { ControlError, isOperationName } from '@drawbridge/protocol';
import type { Logger } from '@drawbridge/runtime';
import { resourceOfAgent } from '../agents/agent-resource.ts';
import type { AuditEntry } from '../audit/audit-entry.ts';
import { authorise } from '../operators/authorise.ts';
import type { Principals } from '../operators/principals.ts';
import { AgentsRepository } from '../store/agents-repository.ts';
import type { CommandRow } from '../store/commands-repository.ts';
import type { Db } from '../store/store.ts';
import { commandNotFound } from './command-service.ts';
import { verbOfOperation } from './operation-verb.ts';

/** A command as young as this was authorised just now, when it was made. */
const FRESH_MS = 1_000;

export interface DeliveryRightsParts {
  readonly db: Db;
  readonly principals: Pick<Principals, 'byText'>;
  readonly audit: { record(entry: AuditEntry): Promise<void> };
  readonly clock: Clock;
  readonly log: Logger;
}

/** Whether who asked for a command may still have it, at the moment it goes out: it may have waited for days. */
export class DeliveryRights {
  readonly #parts: DeliveryRightsParts;

  constructor(parts: DeliveryRightsParts) {
    this.#parts = parts;
  }

  /** Undefined when it may go; otherwise why not. A refusal is recorded. */
  async refusal(row: CommandRow): Promise<ControlError | undefined> {
    const { db, principals, clock } = this.#parts;
    if (clock.now() - Date.parse(row.created_at) < FRESH_MS || !isOperationName(row.operation)) return undefined;
    const verb = verbOfOperation(row.operation);
    try {
      const actor = await principals.byText(row.created_by);
      if (actor === undefined) throw new ControlError('forbidden', `${row.created_by} has no access any more`);
      const agent = await new AgentsRepository(db).find(row.agent_id);
      if (agent === undefined) throw commandNotFound(row.id);
      authorise(
        actor,
        verb,
        resourceOfAgent(agent, () => new ControlError('forbidden', `${actor.name} may not see this agent any more`)),
      );
      return undefined;
    } catch (error) {
      if (!(error instanceof ControlError) || error.code === 'store_unavailable') throw error;
      await this.#record(row, verb, error);
      return error;
    }
  }

  async #record(row: CommandRow, verb: string, error: ControlError): Promise<void> {
    this.#parts.log.warn({ agentId: row.agent_id, commandId: row.id, actor: row.created_by }, 'delivery refused');
    await this.#parts.audit.record({
      actor: row.created_by,
      actorName: null,
      verb,
      resource: `agent:${row.agent_id}`,
      agentId: row.agent_id,
      address: null,
      requestId: null,
      result: 'denied',
      reason: error.code,
      details: { command_id: row.id, operation: row.operation, via: 'delivery' },
    });
  }
}

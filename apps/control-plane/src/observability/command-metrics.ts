import { OPERATIONS, isOperationName } from '@drawbridge/protocol';
import { Counter, Histogram } from 'prom-client';
import type { Registry } from 'prom-client';
import type { CommandRow } from '../store/commands-repository.ts';
import { COMMAND_BUCKETS } from './buckets.ts';
import type { Follower } from './followers.ts';
import { secondsBetween } from './seconds-between.ts';

/** How commands fare: how many, how they end, and how long that takes. */
export class CommandMetrics implements Follower<CommandRow> {
  readonly #created;
  readonly #ended;
  readonly #duration;
  readonly #execution;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#created = new Counter({
      name: 'drawbridge_commands_created_total',
      help: 'Commands that were stored, by operation.',
      labelNames: ['operation'] as const,
      registers,
    });
    this.#ended = new Counter({
      name: 'drawbridge_commands_ended_total',
      help: 'Commands that came to their end, by operation and final state.',
      labelNames: ['operation', 'state'] as const,
      registers,
    });
    this.#duration = new Histogram({
      name: 'drawbridge_command_duration_seconds',
      help: 'From the creation of a command to its end, by operation.',
      labelNames: ['operation'] as const,
      buckets: COMMAND_BUCKETS,
      registers,
    });
    this.#execution = new Histogram({
      name: 'drawbridge_command_execution_seconds',
      help: 'From the first delivery of a command to its end, by operation.',
      labelNames: ['operation'] as const,
      buckets: COMMAND_BUCKETS,
      registers,
    });
    for (const operation of Object.keys(OPERATIONS)) this.#created.inc({ operation }, 0);
  }

  stored(row: CommandRow): void {
    this.#created.inc({ operation: labelOf(row.operation) });
  }

  moved(row: CommandRow): void {
    if (row.ended_at === null) return;
    const operation = labelOf(row.operation);
    this.#ended.inc({ operation, state: row.state });
    this.#duration.observe({ operation }, secondsBetween(row.created_at, row.ended_at));
    if (row.delivered_at !== null) {
      this.#execution.observe({ operation }, secondsBetween(row.delivered_at, row.ended_at));
    }
  }
}

/** A store that outlived a version may know operations that we do not. */
function labelOf(operation: string): string {
  return isOperationName(operation) ? operation : 'other';
}

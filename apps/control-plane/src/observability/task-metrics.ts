import { TASK_STATES, TaskState } from '@drawbridge/protocol';
import { Counter, Histogram } from 'prom-client';
import type { Registry } from 'prom-client';
import type { TaskRow } from '../store/tasks-repository.ts';
import { TASK_BUCKETS } from './buckets.ts';
import type { Follower } from './followers.ts';
import { secondsBetween } from './seconds-between.ts';

const UNFINISHED: readonly TaskState[] = ['queued', 'starting', 'running', 'waiting'];

/** How tasks end, and how long they ran. */
export class TaskMetrics implements Follower<TaskRow> {
  readonly #created;
  readonly #ended;
  readonly #duration;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#created = new Counter({
      name: 'drawbridge_tasks_created_total',
      help: 'Tasks that were stored.',
      registers,
    });
    this.#ended = new Counter({
      name: 'drawbridge_tasks_ended_total',
      help: 'Tasks that ended, by final state.',
      labelNames: ['state'] as const,
      registers,
    });
    this.#duration = new Histogram({
      name: 'drawbridge_task_duration_seconds',
      help: 'From the start of a task’s process to its end.',
      buckets: TASK_BUCKETS,
      registers,
    });
    for (const state of TASK_STATES) if (!UNFINISHED.includes(state)) this.#ended.inc({ state }, 0);
  }

  stored(): void {
    this.#created.inc();
  }

  moved(row: TaskRow): void {
    if (row.ended_at === null) return;
    this.#ended.inc({ state: TaskState.parse(row.state) });
    if (row.started_at !== null) this.#duration.observe(secondsBetween(row.started_at, row.ended_at));
  }
}

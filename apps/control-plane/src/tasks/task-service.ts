import { createHash } from 'node:crypto';
import type { Kysely } from 'kysely';
import type { Clock } from '@drawbridge/link';
import { ControlError, TaskOutcome, TaskState, TaskStateEvent, utf8Bytes } from '@drawbridge/protocol';
import type { Outcome } from '@drawbridge/protocol';
import type { Bus } from '../bus/bus.ts';
import { waitUntil } from '../bus/wait-until.ts';
import type { CommandObserver, CommandService } from '../commands/command-service.ts';
import { actorText } from '../operators/actor.ts';
import type { Actor } from '../operators/actor.ts';
import { Followers } from '../observability/followers.ts';
import type { Follower } from '../observability/followers.ts';
import type { CommandRow } from '../store/commands-repository.ts';
import type { Schema } from '../store/schema.ts';
import { isUniqueViolation } from '../store/statement-error.ts';
import type { Db } from '../store/store.ts';
import { TasksRepository } from '../store/tasks-repository.ts';
import type { TaskFilter, TaskRow } from '../store/tasks-repository.ts';
import { storedTime } from '../store/timestamp.ts';
import { uuidv7 } from '../store/uuid.ts';
import { isTaskFinal, taskStatesBefore } from './task-state.ts';

/** What somebody wants a provider to do. */
export interface NewTask {
  readonly agentId: string;
  readonly provider: string;
  readonly instructions: string;
  readonly mode: string | undefined;
  readonly model: string | undefined;
  readonly timeoutSeconds: number;
  readonly queueIfOffline: boolean;
  readonly ttlSeconds: number;
  readonly idempotencyKey: string | undefined;
}

/**
 * Tasks: a row each, moved by their `task.start` command and by what the agent reports. Instructions pass through sealed;
 * output never comes here (PROTOCOL.md §5).
 */
export class TaskService {
  readonly #db: Kysely<Schema>;
  readonly #commands: CommandService;
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #followers = new Followers<TaskRow>();

  constructor({ db, commands, bus, clock }: { db: Kysely<Schema>; commands: CommandService; bus: Bus; clock: Clock }) {
    this.#db = db;
    this.#commands = commands;
    this.#bus = bus;
    this.#clock = clock;
    commands.observe('task.start', this.#follow);
  }

  /** Registers who is told of every task that was stored, or moved by its command. */
  follow(follower: Follower<TaskRow>): void {
    this.#followers.add(follower);
  }

  /**
   * Stores the task and its command together, with what `alongside` writes. The same idempotency key gives the task it made
   * before.
   */
  async create(wanted: NewTask, actor: Actor, alongside?: (db: Db, task: TaskRow) => Promise<void>): Promise<TaskRow> {
    const requestSha256 = sha256(JSON.stringify(wanted));
    const before = await this.#madeBefore(wanted, actor, requestSha256);
    if (before !== undefined) return before;
    const taskId = uuidv7(this.#clock.now());
    const params = {
      task_id: taskId,
      provider: wanted.provider,
      instructions: wanted.instructions,
      timeout_seconds: wanted.timeoutSeconds,
      ...(wanted.mode === undefined ? {} : { mode: wanted.mode }),
      ...(wanted.model === undefined ? {} : { model: wanted.model }),
    };
    let task: TaskRow | undefined;
    try {
      await this.#commands.create(
        { ...wanted, operation: 'task.start', params, hasDeadline: false },
        actor,
        async (trx, command) => {
          task = newRow(taskId, command, wanted, requestSha256);
          await new TasksRepository(trx).insert(task);
          await alongside?.(trx, task);
        },
      );
    } catch (error) {
      // Two requests with one key at the same time: the other one made it.
      const other = isUniqueViolation(error) ? await this.#madeBefore(wanted, actor, requestSha256) : undefined;
      if (other !== undefined) return other;
      throw error;
    }
    task ??= await this.get(taskId);
    this.#followers.stored(task);
    return task;
  }

  async get(id: string): Promise<TaskRow> {
    const row = await new TasksRepository(this.#db).find(id);
    if (row === undefined) throw taskNotFound(id);
    return row;
  }

  /** Newest first: those of agents within the filters. */
  list(page: { limit: number; cursor: string | undefined }, filter: TaskFilter): Promise<TaskRow[]> {
    return new TasksRepository(this.#db).list(page, filter);
  }

  async cancel(id: string): Promise<TaskRow> {
    const task = await this.get(id);
    await this.#commands.cancel(task.command_id);
    return this.get(id);
  }

  /** The task once `isWanted` holds for it. */
  waitFor(id: string, isWanted: (task: TaskRow) => boolean, signal: AbortSignal): Promise<TaskRow> {
    const look = async () => {
      const task = await this.get(id);
      return isWanted(task) ? task : undefined;
    };
    return waitUntil({ bus: this.#bus, clock: this.#clock }, `task:${id}`, look, signal);
  }

  /**
   * A `task.state` event of the agent that runs it: the task as it is then, to be handed to `moved` after the commit. Events of other
   * agents' tasks, and late ones, change nothing.
   */
  async reported(db: Db, agentId: string, data: unknown): Promise<TaskRow | undefined> {
    const event = TaskStateEvent.safeParse(data);
    if (!event.success) return undefined;
    const { task_id: taskId, state, at } = event.data;
    const tasks = new TasksRepository(db);
    const task = await tasks.find(taskId);
    if (task?.agent_id !== agentId) return undefined;
    return tasks.move(taskId, taskStatesBefore(state), {
      state,
      ...(state === 'running' && task.started_at === null ? { started_at: storedTime(at) } : {}),
    });
  }

  /** Tells followers, and wakes up those who wait for this task; call it once the change is stored. */
  moved(task: TaskRow): void {
    this.#followers.moved(task);
    this.#bus.publish(`task:${task.id}`);
  }

  readonly #follow: CommandObserver = async (db, command, outcome, afterCommit) => {
    const tasks = new TasksRepository(db);
    const task = await tasks.findByCommand(command.id);
    const change = task === undefined ? undefined : taskChange(task.id, command, outcome);
    if (task === undefined || change === undefined) return;
    const moved = await tasks.move(task.id, taskStatesBefore(TaskState.parse(change.state)), change);
    // Whoever is woken reads what is stored.
    if (moved !== undefined) afterCommit(() => this.moved(moved));
  };

  async #madeBefore(wanted: NewTask, actor: Actor, requestSha256: string): Promise<TaskRow | undefined> {
    if (wanted.idempotencyKey === undefined) return undefined;
    const row = await new TasksRepository(this.#db).findByKey(actorText(actor), wanted.idempotencyKey);
    if (row === undefined || row.request_sha256 === requestSha256) return row;
    throw new ControlError('idempotency_mismatch', 'this Idempotency-Key was used for another request');
  }
}

/** The same answer for a task that is not there and one that may not be seen. */
export function taskNotFound(id: string): ControlError {
  return new ControlError('task_not_found', `no task ${id}`);
}

/** True when a task has ended. */
export function isEnded(task: TaskRow): boolean {
  return isTaskFinal(TaskState.parse(task.state));
}

/** What a change of the command means for its task. */
function taskChange(taskId: string, command: CommandRow, outcome: Outcome | undefined) {
  switch (command.state) {
    case 'running':
      return { state: 'starting' } as const;
    case 'succeeded':
      return outcome?.status === 'success' ? ended(taskId, command, outcome.data) : undefined;
    case 'failed':
    case 'cancelled':
    case 'expired':
    case 'indeterminate':
      return {
        state: command.state,
        ended_at: command.ended_at,
        error_code: command.error_code,
        error_message: command.error_message,
      };
    default:
      return undefined;
  }
}

/** The outcome is the agent's word: what is no outcome of this very task leaves it indeterminate. */
function ended(taskId: string, command: CommandRow, data: unknown) {
  const parsed = TaskOutcome.safeParse(data);
  if (!parsed.success || parsed.data.task_id !== taskId) {
    const message = 'the agent reported an outcome that is none of this task';
    return {
      state: 'indeterminate',
      ended_at: command.ended_at,
      error_code: 'agent_error',
      error_message: message,
    } as const;
  }
  const outcome = parsed.data;
  return {
    state: outcome.state,
    ended_at: storedTime(outcome.ended_at),
    ...(outcome.started_at === undefined ? {} : { started_at: storedTime(outcome.started_at) }),
    exit_code: outcome.exit_code ?? null,
    signal: outcome.signal ?? null,
    output_bytes: outcome.output_bytes,
    output_sha256: outcome.output_sha256,
    result_bytes: outcome.result_bytes,
    error_code: outcome.error?.code ?? null,
    error_message: outcome.error?.message ?? null,
  };
}

function newRow(taskId: string, command: CommandRow, wanted: NewTask, requestSha256: string): TaskRow {
  return {
    id: taskId,
    command_id: command.id,
    agent_id: wanted.agentId,
    provider: wanted.provider,
    mode: wanted.mode ?? null,
    model: wanted.model ?? null,
    state: 'queued',
    instructions_bytes: utf8Bytes(wanted.instructions),
    instructions_sha256: sha256(wanted.instructions),
    timeout_seconds: wanted.timeoutSeconds,
    created_by: command.created_by,
    idempotency_key: wanted.idempotencyKey ?? null,
    request_sha256: requestSha256,
    created_at: command.created_at,
    started_at: null,
    ended_at: null,
    exit_code: null,
    signal: null,
    output_bytes: null,
    output_sha256: null,
    result_bytes: null,
    error_code: null,
    error_message: null,
  };
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

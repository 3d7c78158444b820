import type { Logger } from '@drawbridge/runtime';
import type { TaskRow } from '../store/tasks-repository.ts';
import type { Follower } from './followers.ts';
import { currentRequest } from './request-context.ts';

/** A line for a task's beginning and one for its end, with its command: by that the agent's lines are found. */
export class TaskLog implements Follower<TaskRow> {
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  stored(task: TaskRow): void {
    const requestId = currentRequest()?.requestId;
    this.#log.info({ ...idsOf(task), provider: task.provider, requestId }, 'task queued');
  }

  moved(task: TaskRow): void {
    if (task.ended_at === null) return;
    const error = task.error_code === null ? {} : { code: task.error_code };
    this.#log.info(
      { ...idsOf(task), state: task.state, exitCode: task.exit_code ?? undefined, ...error },
      'task ended',
    );
  }
}

function idsOf({ id: taskId, command_id: commandId, agent_id: agentId }: TaskRow) {
  return { taskId, commandId, agentId };
}

import type { Enrolment } from '../agents/enrolment.ts';
import type { Presence } from '../agents/presence.ts';
import type { CommandService } from '../commands/command-service.ts';
import type { CommandRow } from '../store/commands-repository.ts';
import type { TaskRow } from '../store/tasks-repository.ts';
import type { TaskService } from '../tasks/task-service.ts';
import type { NewEvent, Publish } from './event-feed.ts';

/** The nouns that tell what becomes of them. */
export interface FollowedNouns {
  readonly presence: Pick<Presence, 'follow'>;
  readonly commands: Pick<CommandService, 'follow'>;
  readonly tasks: Pick<TaskService, 'follow'>;
  readonly enrolment?: Pick<Enrolment, 'onEnrolled'>;
}

/** Publishes what happens to agents, commands and tasks, once it is stored. */
export function followChanges(publish: Publish, { presence, commands, tasks, enrolment }: FollowedNouns): void {
  presence.follow({
    online: ({ agentId }) => publish(ofAgent('agent.online', agentId, { status: 'online' })),
    offline: ({ agentId }) => publish(ofAgent('agent.offline', agentId, { status: 'offline' })),
  });
  commands.follow({
    stored: (row) => publish(ofCommand('command.created', row)),
    moved: (row) => publish(ofCommand('command.changed', row)),
  });
  tasks.follow({
    stored: (row) => publish(ofTask('task.created', row)),
    moved: (row) => publish(ofTask('task.changed', row)),
  });
  enrolment?.onEnrolled((agentId, name) => publish(ofAgent('agent.enrolled', agentId, { name })));
}

function ofAgent(type: NewEvent['type'], agentId: string, data: NewEvent['data']): NewEvent {
  return { type, resource: `agent:${agentId}`, agentId, data };
}

/** Neither parameters nor result: they may hold content. */
function ofCommand(type: NewEvent['type'], row: CommandRow): NewEvent {
  const data = {
    operation: row.operation,
    state: row.state,
    created_at: row.created_at,
    ended_at: row.ended_at,
    cancel_requested: row.cancel_requested_at !== null,
    error_code: row.error_code,
  };
  return { type, resource: `command:${row.id}`, agentId: row.agent_id, data };
}

/** The error's words are the agent's and may be long: whoever wants them reads the task. */
function ofTask(type: NewEvent['type'], row: TaskRow): NewEvent {
  const data = {
    provider: row.provider,
    state: row.state,
    created_at: row.created_at,
    started_at: row.started_at,
    ended_at: row.ended_at,
    exit_code: row.exit_code,
    error_code: row.error_code,
  };
  return { type, resource: `task:${row.id}`, agentId: row.agent_id, data };
}

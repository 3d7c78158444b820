import type { Channel } from '@drawbridge/link';
import { CloseReason, ControlError, TaskChannelMetadata } from '@drawbridge/protocol';
import type { Clock } from '@drawbridge/link';
import { resourceOfAgent } from '../agents/agent-resource.ts';
import type { AgentService } from '../agents/agent-service.ts';
import type { Presence } from '../agents/presence.ts';
import type { Bus } from '../bus/bus.ts';
import { waitUntil } from '../bus/wait-until.ts';
import { actorText } from '../operators/actor.ts';
import type { Actor } from '../operators/actor.ts';
import { authorise } from '../operators/authorise.ts';
import type { TaskRow } from '../store/tasks-repository.ts';
import type { SystemTunnels } from '../tunnels/system-tunnels.ts';
import { isEnded, taskNotFound } from './task-service.ts';
import type { TaskService } from './task-service.ts';

/** What part of which file of a task somebody wants to read. */
export interface OutputRequest {
  readonly taskId: string;
  readonly file: 'output' | 'result';
  readonly since: number;
  readonly follow: boolean;
  readonly actor: Actor;
}

/** Bytes of a task's file as they come; `sizeBytes` is how long the file was when nothing is followed. */
export interface OutputStream {
  readonly sizeBytes: number | undefined;
  readonly bytes: AsyncIterable<Uint8Array>;
}

/** After a channel was lost, a pause before the next: the agent may be just about to come back. */
const RETRY_MS = 250;

/** Ends of a channel after which the rest can be had from another one. */
const PASSING: ReadonlySet<number> = new Set([
  CloseReason.UnexpectedDisconnect,
  CloseReason.AgentShutdown,
  CloseReason.ServerShutdown,
  CloseReason.IdleTimeout,
]);

export interface TaskOutputParts {
  readonly tasks: TaskService;
  readonly agents: Pick<AgentService, 'find' | 'findAny'>;
  readonly tunnels: SystemTunnels;
  readonly presence: Presence;
  readonly bus: Bus;
  readonly clock: Clock;
}

/**
 * Reads what a task wrote, from its agent's disk, through the system tunnel; nothing is kept here. Following goes on over
 * lost tunnels and absent agents, from the byte where it stopped, until the task has ended and all is read.
 */
export class TaskOutput {
  readonly #tasks: TaskService;
  readonly #agents: TaskOutputParts['agents'];
  readonly #tunnels: SystemTunnels;
  readonly #presence: Presence;
  readonly #bus: Bus;
  readonly #clock: Clock;

  constructor(parts: TaskOutputParts) {
    this.#tasks = parts.tasks;
    this.#agents = parts.agents;
    this.#tunnels = parts.tunnels;
    this.#presence = parts.presence;
    this.#bus = parts.bus;
    this.#clock = parts.clock;
  }

  async open(request: OutputRequest, signal: AbortSignal): Promise<OutputStream> {
    const task = await this.#tasks.get(request.taskId);
    // Over a loss one waits for the agent; a task that has ended on an absent one, or a revoked one, is refused at once.
    if (request.follow && isEnded(task) && !neverRan(task) && this.#presence.current(task.agent_id) === undefined) {
      await this.#agents.find(task.agent_id);
      throw new ControlError('agent_offline', `agent ${task.agent_id} is offline, and the output is on its disk`);
    }
    if (request.follow) return { sizeBytes: undefined, bytes: this.#follow(task, request, signal) };
    if (neverRan(task) || task.state === 'queued') return { sizeBytes: 0, bytes: nothing() };
    await this.#mayRead(task, request.actor);
    const channel = await this.#channel(task, request, signal);
    const size = channel.metadata['size'];
    return { sizeBytes: typeof size === 'number' ? size : undefined, bytes: readOnce(channel, signal) };
  }

  async *#follow(task: TaskRow, request: OutputRequest, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const started = await this.#tasks.waitFor(task.id, (now) => now.state !== 'queued', signal);
    if (neverRan(started)) return;
    let since = request.since;
    for (;;) {
      await this.#agentIsThere(task.agent_id, signal);
      await this.#mayRead(task, request.actor);
      try {
        const channel = await this.#channel(task, { ...request, since }, signal);
        for await (const bytes of readOnce(channel, signal)) {
          since += bytes.byteLength;
          yield bytes;
        }
        return;
      } catch (error) {
        signal.throwIfAborted();
        if (await this.#isOver(task.id, error)) return;
        if (!isPassing(error)) throw error;
      }
      await this.#clock.sleep(RETRY_MS, signal);
    }
  }

  /** Throws `task_not_found` for whom the task is none; when an agent says so, that may pass. */
  async #mayRead(task: TaskRow, actor: Actor): Promise<void> {
    const agent = await this.#agents.findAny(task.agent_id);
    const resource = resourceOfAgent(agent, () => taskNotFound(task.id), 'task.read');
    authorise(actor, 'task.read', resource);
  }

  #channel(task: TaskRow, request: OutputRequest, signal: AbortSignal): Promise<Channel> {
    const metadata = {
      task_id: task.id,
      file: request.file,
      since: request.since,
      follow: request.follow,
      actor: actorText(request.actor),
    } satisfies TaskChannelMetadata;
    return this.#tunnels.channel(task.agent_id, { protocol: 'task', metadata }, metadata.actor, signal);
  }

  /** An agent that does not know the task has nothing of it: right for one that ended before it began. */
  async #isOver(taskId: string, error: unknown): Promise<boolean> {
    if (!(error instanceof ControlError) || error.code !== 'task_not_found') return false;
    return isEnded(await this.#tasks.get(taskId));
  }

  /** Rejects with `agent_not_found` when the agent is revoked meanwhile: it never comes back. */
  async #agentIsThere(agentId: string, signal: AbortSignal): Promise<void> {
    const look = async () => {
      if (this.#presence.current(agentId) !== undefined) return true;
      await this.#agents.find(agentId);
      return undefined;
    };
    await waitUntil({ bus: this.#bus, clock: this.#clock }, `agent:${agentId}`, look, signal);
  }
}

async function* readOnce(channel: Channel, signal: AbortSignal): AsyncIterable<Uint8Array> {
  await using open = channel;
  for (;;) {
    const item = await open.read(signal);
    if (item === undefined) break;
    if (item.kind === 'data') yield item.bytes;
  }
  const end = await open.ended;
  if (end.code === CloseReason.Ok) return;
  const code = PASSING.has(end.code) ? 'tunnel_unavailable' : 'agent_error';
  throw new ControlError(code, `the agent's output ended early: ${end.reason}`);
}

async function* nothing(): AsyncIterable<Uint8Array> {
  // A task that has not run wrote nothing.
}

function neverRan(task: TaskRow): boolean {
  return isEnded(task) && task.started_at === null && task.state !== 'indeterminate';
}

/** `task_not_found` passes while the task has not ended: its `started` overtook the making of its directory. */
function isPassing(error: unknown): boolean {
  if (!(error instanceof ControlError)) return false;
  return ['tunnel_unavailable', 'agent_offline', 'timed_out', 'command_timeout', 'task_not_found'].includes(error.code);
}

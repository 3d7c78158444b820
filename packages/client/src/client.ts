import { z } from 'zod';
import { CommandView } from './command-view.ts';
import { followOutput } from './follow-output.ts';
import { Http } from './http.ts';
import type { HttpOptions } from './http.ts';
import { retrying } from './retrying.ts';
import type { RetryOptions } from './retrying.ts';
import { AgentView, IssuedJoinToken, JoinTokenView, TaskView, pageOf } from './views.ts';

/** A task to start. */
export interface NewTask {
  /** Id or name. */
  readonly agent: string;
  readonly provider: string;
  readonly instructions: string;
  readonly mode?: string | undefined;
  readonly model?: string | undefined;
  readonly timeoutSeconds?: number | undefined;
  readonly queueIfOffline?: boolean | undefined;
  readonly ttlSeconds?: number | undefined;
}

/** How long one request waits for a task's end before it asks again. */
const WAIT_SECONDS = 30;

/** A control plane, as programs see it. Every call rejects with ApiError, UnreachableError, or its signal's reason. */
export class DrawbridgeClient {
  readonly #http: Http;

  constructor(options: HttpOptions) {
    this.#http = new Http(options);
  }

  /** Every agent the caller may see, by name. */
  async listAgents(signal?: AbortSignal): Promise<AgentView[]> {
    const agents: AgentView[] = [];
    let cursor: string | null = null;
    do {
      const query: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
      const page = await this.#http.json(pageOf(AgentView), `/api/v1/agents?limit=200${query}`, { signal });
      agents.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor !== null);
    return agents;
  }

  getAgent(agent: string, signal?: AbortSignal): Promise<AgentView> {
    return this.#http.json(AgentView, `/api/v1/agents/${encodeURIComponent(agent)}`, { signal });
  }

  /** Cuts the agent off for good. */
  revokeAgent(agent: string, signal?: AbortSignal): Promise<void> {
    return this.#http.done(`/api/v1/agents/${encodeURIComponent(agent)}`, { method: 'DELETE', signal });
  }

  createJoinToken(
    wanted: { ttlSeconds?: number; uses?: number; labels?: Record<string, string> } = {},
    signal?: AbortSignal,
  ): Promise<IssuedJoinToken> {
    const body = { ttl_seconds: wanted.ttlSeconds, uses: wanted.uses, labels: wanted.labels };
    return this.#http.json(IssuedJoinToken, '/api/v1/join-tokens', { body, signal });
  }

  async listJoinTokens(signal?: AbortSignal): Promise<JoinTokenView[]> {
    return (await this.#http.json(pageOf(JoinTokenView), '/api/v1/join-tokens', { signal })).items;
  }

  revokeJoinToken(id: string, signal?: AbortSignal): Promise<void> {
    return this.#http.done(`/api/v1/join-tokens/${encodeURIComponent(id)}`, { method: 'DELETE', signal });
  }

  /** A one-time link that signs a browser in. */
  async createSignInLink(signal?: AbortSignal): Promise<string> {
    const { url } = await this.#http.json(z.object({ url: z.string() }), '/api/v1/sign-in-links', {
      method: 'POST',
      signal,
    });
    return url;
  }

  /** Runs one operation on an agent and waits for its outcome as long as the operation may take. */
  runCommand(
    agent: string,
    operation: string,
    params: Record<string, unknown> = {},
    signal?: AbortSignal,
  ): Promise<CommandView> {
    const body = { operation, params };
    return this.#http.json(CommandView, `/api/v1/agents/${encodeURIComponent(agent)}/commands`, { body, signal });
  }

  /** Starts a task. A request whose answer was lost is repeated under the same key: the task is made once. */
  createTask(task: NewTask, retry: RetryOptions, signal?: AbortSignal): Promise<TaskView> {
    const headers = { 'idempotency-key': crypto.randomUUID() };
    const body = {
      agent_id: task.agent,
      provider: task.provider,
      instructions: task.instructions,
      mode: task.mode,
      model: task.model,
      timeout_seconds: task.timeoutSeconds,
      queue_if_offline: task.queueIfOffline,
      ttl_seconds: task.ttlSeconds,
    };
    return retrying(() => this.#http.json(TaskView, '/api/v1/tasks', { body, headers, signal }), retry, signal);
  }

  getTask(id: string, signal?: AbortSignal): Promise<TaskView> {
    return this.#http.json(TaskView, `/api/v1/tasks/${encodeURIComponent(id)}`, { signal });
  }

  /** The newest tasks first. */
  async listTasks(
    { limit = 50, agent }: { limit?: number; agent?: string | undefined } = {},
    signal?: AbortSignal,
  ): Promise<TaskView[]> {
    const query = agent === undefined ? '' : `&agent=${encodeURIComponent(agent)}`;
    return (await this.#http.json(pageOf(TaskView), `/api/v1/tasks?limit=${limit}${query}`, { signal })).items;
  }

  cancelTask(id: string, signal?: AbortSignal): Promise<TaskView> {
    return this.#http.json(TaskView, `/api/v1/tasks/${encodeURIComponent(id)}/cancel`, { method: 'POST', signal });
  }

  /** The task once it has ended, over restarts of the control plane. */
  async waitForTask(id: string, retry: RetryOptions, signal?: AbortSignal): Promise<TaskView> {
    const path = `/api/v1/tasks/${encodeURIComponent(id)}?wait_seconds=${WAIT_SECONDS}`;
    for (;;) {
      const task = await retrying(() => this.#http.json(TaskView, path, { signal }), retry, signal);
      if (task.ended_at !== null) return task;
    }
  }

  /** What the task has written so far, from byte `since` on. */
  async *readOutput(id: string, file: 'output' | 'result', since = 0, signal?: AbortSignal): AsyncIterable<Uint8Array> {
    const response = await this.#http.send(`/api/v1/tasks/${encodeURIComponent(id)}/${file}?since=${since}`, {
      signal,
    });
    if (response.body !== null) yield* response.body;
  }

  /** What the task writes, from byte `since` on, live until it has ended: each byte once, over restarts of every part. */
  followOutput(id: string, since: number, retry: RetryOptions, signal?: AbortSignal): AsyncIterable<Uint8Array> {
    return followOutput(this.#http, id, since, retry, signal);
  }
}

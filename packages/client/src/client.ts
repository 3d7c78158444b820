import {
  AgentConfigView,
  AgentView,
  CommandView,
  HealthSample,
  IssuedJoinToken,
  IssuedTunnel,
  IssuedTunnelToken,
  JoinTokenView,
  TaskView,
  TunnelView,
  WhoAmI,
  pageOf,
} from '@drawbridge/protocol/api';
import type { TunnelRequest } from '@drawbridge/protocol/api';
import { z } from 'zod';
import { agentHealth } from './agent-health.ts';
import type { HealthFilter } from './agent-health.ts';
import { allPages } from './all-pages.ts';
import { AuditApi } from './audit.ts';
import { takeBackup } from './backup.ts';
import { bodyOf } from './body-of.ts';
import { BulkRunsApi } from './bulk-runs.ts';
import { followEvents } from './follow-events.ts';
import type { EventFilter, FollowedEvent } from './follow-events.ts';
import { followOutput } from './follow-output.ts';
import { GroupsApi } from './groups.ts';
import { Http } from './http.ts';
import type { HttpOptions } from './http.ts';
import { listTunnels } from './list-tunnels.ts';
import type { TunnelFilter } from './list-tunnels.ts';
import { AgentSessionsApi } from './session/agent-sessions.ts';
import { queryOf } from './query.ts';
import { retrying } from './retrying.ts';
import type { RetryOptions } from './retrying.ts';
import { RolesApi } from './roles.ts';
import { SessionsApi } from './sessions.ts';
import { TokensApi } from './tokens.ts';
import { openTunnel } from './tunnel/open-tunnel.ts';
import type { OpenTunnelOptions } from './tunnel/open-tunnel.ts';
import type { OperatorTunnel } from './tunnel/operator-tunnel.ts';
import { UsersApi } from './users.ts';

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

/** Which agents to list. */
export interface AgentFilter {
  /** Conditions on labels, such as `site=lab,env=prod`. */
  readonly selector?: string | undefined;
  readonly status?: AgentView['status'] | undefined;
}

/** What of an agent is to change. */
export interface AgentChange {
  readonly name?: string;
  readonly labels?: Readonly<Record<string, string | null>>;
}

/** What an agent is to do differently from others, in seconds; null: what all agents are told. */
export interface AgentConfigChange {
  readonly heartbeat_interval?: number | null;
  readonly command_timeout?: number | null;
}

/** Which tasks to list. */
export interface TaskFilter {
  readonly limit?: number;
  readonly agent?: string | undefined;
  readonly state?: TaskView['state'] | undefined;
  /** Conditions on the labels of their agents. */
  readonly selector?: string | undefined;
}

/** How long one request waits for a task's end before it asks again. */
const WAIT_SECONDS = 30;

/** A control plane, as programs see it. Every call rejects with ApiError, UnreachableError, or its signal's reason. */
export class DrawbridgeClient {
  readonly agentSessions: AgentSessionsApi;
  readonly audit: AuditApi;
  readonly bulkRuns: BulkRunsApi;
  readonly groups: GroupsApi;
  readonly roles: RolesApi;
  readonly sessions: SessionsApi;
  readonly tokens: TokensApi;
  readonly users: UsersApi;
  readonly #http: Http;
  readonly #options: HttpOptions;

  constructor(options: HttpOptions) {
    this.#options = options;
    this.#http = new Http(options);
    this.agentSessions = new AgentSessionsApi(this.#http, (agent, how, signal) =>
      this.openTunnel({ agent_id: agent, protocol: 'session' }, how, signal),
    );
    this.audit = new AuditApi(this.#http);
    this.bulkRuns = new BulkRunsApi(this.#http);
    this.groups = new GroupsApi(this.#http);
    this.roles = new RolesApi(this.#http);
    this.sessions = new SessionsApi(this.#http);
    this.tokens = new TokensApi(this.#http);
    this.users = new UsersApi(this.#http);
  }

  /** Who asks, and what they may do. */
  whoAmI(signal?: AbortSignal): Promise<WhoAmI> {
    return this.#http.json(WhoAmI, '/api/v1/whoami', { signal });
  }

  /** Changes the caller's own password, and ends all their other sessions; `current` is left out where there is none yet. */
  changePassword(change: { current?: string | undefined; password: string }, signal?: AbortSignal): Promise<void> {
    return this.#http.done('/api/v1/whoami/password', { method: 'PUT', body: change, signal });
  }

  /** Every agent the caller may see, by name; with a filter, those it fits. */
  listAgents({ selector, status }: AgentFilter = {}, signal?: AbortSignal): Promise<AgentView[]> {
    return allPages(this.#http, pageOf(AgentView), '/api/v1/agents', { query: { selector, status }, signal });
  }

  /** One agent. */
  getAgent(agent: string, signal?: AbortSignal): Promise<AgentView> {
    return this.#http.json(AgentView, `/api/v1/agents/${encodeURIComponent(agent)}`, { signal });
  }

  /** Gives an agent another name or other labels; a label that is null is taken away, those not named stay. */
  updateAgent(agent: string, change: AgentChange, signal?: AbortSignal): Promise<AgentView> {
    const path = `/api/v1/agents/${encodeURIComponent(agent)}`;
    return this.#http.json(AgentView, path, { method: 'PATCH', body: change, signal });
  }

  /** How the agent fared, a sample for each five minutes, the oldest first; the last two days at most unless it is configured otherwise. */
  agentHealth(agent: string, filter: HealthFilter = {}, signal?: AbortSignal): AsyncGenerator<HealthSample> {
    return agentHealth(this.#http, agent, filter, signal);
  }

  /** What the agent is told to do, and whether it does. */
  agentConfig(agent: string, signal?: AbortSignal): Promise<AgentConfigView> {
    return this.#http.json(AgentConfigView, `/api/v1/agents/${encodeURIComponent(agent)}/config`, { signal });
  }

  /** Tells the agent to do something else; null goes back to what all agents are told. Its own file has the last word. */
  configureAgent(agent: string, change: AgentConfigChange, signal?: AbortSignal): Promise<AgentConfigView> {
    const path = `/api/v1/agents/${encodeURIComponent(agent)}/config`;
    return this.#http.json(AgentConfigView, path, { method: 'PATCH', body: change, signal });
  }

  /** Cuts the agent off for good. */
  revokeAgent(agent: string, signal?: AbortSignal): Promise<void> {
    return this.#http.done(`/api/v1/agents/${encodeURIComponent(agent)}`, { method: 'DELETE', signal });
  }

  /** Makes a token that lets machines enrol; it is shown this once. */
  createJoinToken(
    wanted: { ttlSeconds?: number; uses?: number; labels?: Record<string, string> } = {},
    signal?: AbortSignal,
  ): Promise<IssuedJoinToken> {
    const body = { ttl_seconds: wanted.ttlSeconds, uses: wanted.uses, labels: wanted.labels };
    return this.#http.json(IssuedJoinToken, '/api/v1/join-tokens', { body, signal });
  }

  /** Join tokens without their secrets. */
  async listJoinTokens(signal?: AbortSignal): Promise<JoinTokenView[]> {
    return (await this.#http.json(pageOf(JoinTokenView), '/api/v1/join-tokens', { signal })).items;
  }

  /** From now on no machine enrols with it; those that have stay. */
  revokeJoinToken(id: string, signal?: AbortSignal): Promise<void> {
    return this.#http.done(`/api/v1/join-tokens/${encodeURIComponent(id)}`, { method: 'DELETE', signal });
  }

  /** Opens a tunnel through an agent, which stays over losses and restarts until it is closed or its lease is over. */
  openTunnel(request: TunnelRequest, options: OpenTunnelOptions = {}, signal?: AbortSignal): Promise<OperatorTunnel> {
    return openTunnel(this, this.#options, request, options, signal);
  }

  /** Leases a tunnel through an agent: what its operator's end is dialled with. */
  requestTunnel(request: TunnelRequest, signal?: AbortSignal): Promise<IssuedTunnel> {
    return this.#http.json(IssuedTunnel, '/api/tunnel/request', { body: request, signal });
  }

  /** Every tunnel of the agents the caller may see that is not over; with a filter, those it fits. */
  listTunnels(filter: TunnelFilter = {}, signal?: AbortSignal): Promise<TunnelView[]> {
    return listTunnels(this.#http, filter, signal);
  }

  /** One tunnel; a lease also after it has ended. */
  tunnel(id: string, signal?: AbortSignal): Promise<TunnelView> {
    return this.#http.json(TunnelView, `/api/v1/tunnels/${encodeURIComponent(id)}`, { signal });
  }

  /** Ends a lease: its port is free, and its streams are cut. */
  closeTunnel(id: string, signal?: AbortSignal): Promise<void> {
    return this.#http.done(`/api/tunnel/${encodeURIComponent(id)}`, { method: 'DELETE', signal });
  }

  /** A fresh token for the operator's end of the caller's own lease. */
  tunnelToken(id: string, signal?: AbortSignal): Promise<IssuedTunnelToken> {
    const path = `/api/v1/tunnels/${encodeURIComponent(id)}/token`;
    return this.#http.json(IssuedTunnelToken, path, { method: 'POST', signal });
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

  /** One task. */
  getTask(id: string, signal?: AbortSignal): Promise<TaskView> {
    return this.#http.json(TaskView, `/api/v1/tasks/${encodeURIComponent(id)}`, { signal });
  }

  /** The newest tasks first; with a filter, those it fits. */
  async listTasks({ limit = 50, agent, state, selector }: TaskFilter = {}, signal?: AbortSignal): Promise<TaskView[]> {
    const query = queryOf({ limit, agent, state, selector });
    return (await this.#http.json(pageOf(TaskView), `/api/v1/tasks${query}`, { signal })).items;
  }

  /** Asks for the task's end; what has ended stays as it is. */
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
    const path = `/api/v1/tasks/${encodeURIComponent(id)}/${file}?since=${since}`;
    yield* bodyOf(await this.#http.send(path, { signal }), signal);
  }

  /** Everything the control plane holds, as a compressed archive, in parts. Only the whole of it is a backup. */
  takeBackup(signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    return takeBackup(this.#http, signal);
  }

  /** Every change the caller may see, as it happens, over losses of the connection and restarts of the control plane. */
  followEvents(filter: EventFilter, retry: RetryOptions, signal?: AbortSignal): AsyncIterable<FollowedEvent> {
    return followEvents(this.#http, filter, retry, signal);
  }

  /** What the task writes, from byte `since` on, live until it has ended: each byte once, over restarts of every part. */
  followOutput(id: string, since: number, retry: RetryOptions, signal?: AbortSignal): AsyncIterable<Uint8Array> {
    return followOutput(this.#http, id, since, retry, signal);
  }
}

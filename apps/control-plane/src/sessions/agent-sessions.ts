import { randomUUID } from 'node:crypto';
import type { Channel } from '@drawbridge/link';
import { ControlError, ERROR_CODES, OPERATIONS, SessionInfo, firstIssue } from '@drawbridge/protocol';
import type { z } from 'zod';
import type { NewSession, OperationName, SessionChannelMetadata } from '@drawbridge/protocol';
import { isFinal } from '../commands/command-state.ts';
import type { CommandService } from '../commands/command-service.ts';
import { actorText } from '../operators/actor.ts';
import type { Actor } from '../operators/actor.ts';
import type { SystemTunnels } from '../tunnels/system-tunnels.ts';

/** An agent has this long to answer about its sessions: to start one it may have to start their host. */
const TIMEOUT_SECONDS = 30;

/** How somebody attaches. */
export type AttachRequest = Omit<SessionChannelMetadata, 'actor'>;

export interface AgentSessionsParts {
  readonly commands: CommandService;
  readonly tunnels: SystemTunnels;
}

/** The sessions of all agents. Nothing of them is kept here: what an agent does not answer is not known. */
export class AgentSessions {
  readonly #parts: AgentSessionsParts;

  constructor(parts: AgentSessionsParts) {
    this.#parts = parts;
  }

  async create(agentId: string, wanted: NewSession, actor: Actor, signal: AbortSignal): Promise<SessionInfo> {
    const created = { session_id: randomUUID(), created_by: actorText(actor), created_by_name: actor.name };
    const params = { ...wanted, ...created };
    return answerOf(SessionInfo, await this.#run(agentId, 'session.create', params, actor, signal));
  }

  async list(agentId: string, actor: Actor, signal: AbortSignal): Promise<SessionInfo[]> {
    const answer = await this.#run(agentId, 'session.list', {}, actor, signal);
    return answerOf(OPERATIONS['session.list'].result, answer).items;
  }

  async get(agentId: string, sessionId: string, actor: Actor, signal: AbortSignal): Promise<SessionInfo> {
    return answerOf(SessionInfo, await this.#run(agentId, 'session.get', { session_id: sessionId }, actor, signal));
  }

  /** Ends its processes, and has the agent forget it. */
  async end(agentId: string, sessionId: string, actor: Actor, signal: AbortSignal): Promise<SessionInfo> {
    return answerOf(SessionInfo, await this.#run(agentId, 'session.end', { session_id: sessionId }, actor, signal));
  }

  /** A `session` channel of the agent's system tunnel. Rejects with `session_not_found`, `already_connected`, `agent_offline` … */
  attach(agentId: string, request: AttachRequest, actor: Actor, signal: AbortSignal): Promise<Channel> {
    const metadata = { ...request, actor: actor.name };
    return this.#parts.tunnels.channel(agentId, { protocol: 'session', metadata }, actorText(actor), signal);
  }

  /** Rejects with the code the agent failed with, `agent_error` when its answer makes no sense, and `command_timeout` when it says nothing. */
  async #run(
    agentId: string,
    operation: OperationName,
    params: Record<string, unknown>,
    actor: Actor,
    signal: AbortSignal,
  ): Promise<unknown> {
    const { commands } = this.#parts;
    const wanted = {
      agentId,
      operation,
      params,
      timeoutSeconds: TIMEOUT_SECONDS,
      queueIfOffline: false,
      ttlSeconds: 0,
    };
    const { id } = await commands.create({ ...wanted, hasDeadline: true }, actor);
    const row = await commands.wait(id, AbortSignal.any([signal, AbortSignal.timeout((TIMEOUT_SECONDS + 2) * 1000)]));
    if (row.state === 'succeeded') return JSON.parse(row.result ?? 'null');
    if (!isFinal(row.state)) throw new ControlError('command_timeout', `agent ${agentId} has not answered`);
    const code = ERROR_CODES.find((known) => known === row.error_code) ?? 'agent_error';
    throw new ControlError(code, row.error_message ?? `${operation}: ${row.state}`);
  }
}

function answerOf<T>(schema: z.ZodType<T>, answer: unknown): T {
  const parsed = schema.safeParse(answer);
  if (parsed.success) return parsed.data;
  throw new ControlError('agent_error', `the agent's answer makes no sense: ${firstIssue(parsed.error)}`);
}

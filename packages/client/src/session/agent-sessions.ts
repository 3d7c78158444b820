import { OPERATIONS, SessionInfo } from '@drawbridge/protocol';
import type { NewSession } from '@drawbridge/protocol';
import type { z } from 'zod';
import type { Http } from '../http.ts';
import type { OpenTunnelOptions } from '../tunnel/open-tunnel.ts';
import type { OperatorTunnel } from '../tunnel/operator-tunnel.ts';
import { SessionTerminal } from './session-terminal.ts';
import type { AttachOptions } from './session-terminal.ts';

const { result: Sessions } = OPERATIONS['session.list'];

/** Opens a tunnel for sessions; DrawbridgeClient does. */
export type OpenSessionTunnel = (
  agent: string,
  options: OpenTunnelOptions,
  signal: AbortSignal,
) => Promise<OperatorTunnel>;

/** Shells and other programs that stay on an agent, whoever looks. `agent` is an id or a name. */
export class AgentSessionsApi {
  readonly #http: Http;
  readonly #openTunnel: OpenSessionTunnel;

  constructor(http: Http, openTunnel: OpenSessionTunnel) {
    this.#http = http;
    this.#openTunnel = openTunnel;
  }

  /**
   * Begins a session: the agent's shell on a terminal, unless something else is asked for. Asked again under the same `key`, after an answer
   * was lost, it is the same session.
   */
  create(
    agent: string,
    wanted: z.input<typeof NewSession> = {},
    key: string = crypto.randomUUID(),
    signal?: AbortSignal,
  ): Promise<SessionInfo> {
    const headers = { 'idempotency-key': key };
    return this.#http.json(SessionInfo, pathOf(agent), { body: wanted, headers, signal });
  }

  /** Those that run, and those that ended a short while ago. */
  async list(agent: string, signal?: AbortSignal): Promise<SessionInfo[]> {
    return (await this.#http.json(Sessions, pathOf(agent), { signal })).items;
  }

  get(agent: string, sessionId: string, signal?: AbortSignal): Promise<SessionInfo> {
    return this.#http.json(SessionInfo, pathOf(agent, sessionId), { signal });
  }

  /** Ends everything that runs in it; the answer says how. */
  end(agent: string, sessionId: string, signal?: AbortSignal): Promise<SessionInfo> {
    return this.#http.json(SessionInfo, pathOf(agent, sessionId), { method: 'DELETE', signal });
  }

  /**
   * Attaches to a session, and stays attached over losses of every part until it ends. Rejects with ControlError `session_not_found`, or
   * `already_connected` when somebody else writes and `takeover` is not asked for.
   */
  attach(
    agent: string,
    sessionId: string,
    options: AttachOptions = {},
    signal?: AbortSignal,
  ): Promise<SessionTerminal> {
    // As long as it is attached, and not as long as attaching may take.
    const openTunnel = (status: OpenTunnelOptions['onStatus'], until: AbortSignal) =>
      this.#openTunnel(agent, { ...options.tunnel, ...(status !== undefined && { onStatus: status }) }, until);
    return SessionTerminal.attach(sessionId, openTunnel, options, signal);
  }
}

function pathOf(agent: string, sessionId?: string): string {
  const path = `/api/v1/agents/${encodeURIComponent(agent)}/sessions`;
  return sessionId === undefined ? path : `${path}/${encodeURIComponent(sessionId)}`;
}

import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { WebSocket } from 'ws';
import { ControlError, LIMITS, WsClose, firstIssue } from '@drawbridge/protocol';
import type { Clock } from '@drawbridge/link';
import { serveTerminal, wsLimits, wsSocket } from '@drawbridge/runtime';
import { z } from 'zod';
import { agentResource } from '../agents/agent-resource.ts';
import type { AgentService } from '../agents/agent-service.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import type { Caller } from '../edge/edge.ts';
import type { AccessWatch } from '../operators/access-watch.ts';
import { actorText } from '../operators/actor.ts';
import type { Actor } from '../operators/actor.ts';
import { authorise } from '../operators/authorise.ts';
import type { AgentSessions } from '../sessions/agent-sessions.ts';
import { keepAlive } from './keep-alive.ts';
import type { OperatorSignIn } from './operator-sign-in.ts';

/** The query of a request to attach. Only `1` is yes, as with OpenSandbox. */
const AttachQuery = z.strictObject({
  since: z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional(),
  view: z.enum(['0', '1']).optional(),
  takeover: z.enum(['0', '1']).optional(),
});

/** Which session, as the path and the query of a request name it. */
export interface SessionPath {
  /** Id or name. */
  readonly agent: string;
  readonly sessionId: string;
  readonly query: string;
}

/** A request for a WebSocket that has passed the edge. */
export interface SessionRequest extends SessionPath {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  readonly caller: Caller;
}

export interface SessionDoorOptions {
  readonly signIn: OperatorSignIn;
  readonly agents: Pick<AgentService, 'find'>;
  readonly sessions: Pick<AgentSessions, 'attach'>;
  readonly access: Pick<AccessWatch, 'watch'>;
  readonly audit: Pick<AuditLog, 'record'>;
  readonly clock: Clock;
}

/** Where people and programs attach to sessions: everything is decided, and the session is there, before a WebSocket is accepted. */
export class SessionDoor {
  readonly #options: SessionDoorOptions;
  readonly #server = new WebSocketServer({
    ...wsLimits(LIMITS.terminalMessageBytesMax),
    noServer: true,
    clientTracking: false,
  });

  constructor(options: SessionDoorOptions) {
    this.#options = options;
  }

  /**
   * Serves one viewer; resolves when it is gone. Throws ControlError before the WebSocket is accepted: `unauthenticated`, `forbidden`,
   * `agent_not_found`, `session_not_found`, `already_connected`, `agent_offline` …
   */
  async serve(wanted: SessionRequest, onAuthenticated: () => void): Promise<void> {
    const { signIn, access, sessions, clock } = this.#options;
    const { agent: asked, sessionId, socket } = wanted;
    const actor = await signIn.actorOf(wanted.request, wanted.caller);
    onAuthenticated();
    const { since, view, takeover } = parseQuery(wanted.query);
    const verb = view === '1' ? 'terminal.observe' : 'terminal.open';
    const agentId = await this.#permit(actor, asked, verb, wanted);
    const gone = new AbortController();
    const leave = () => gone.abort(new ControlError('cancelled', 'the client has gone'));
    socket.once('close', leave);
    if (socket.destroyed) leave();
    const request = {
      session_id: sessionId,
      view: view === '1',
      takeover: takeover === '1',
      ...(since !== undefined && { since }),
    };
    await using channel = await sessions.attach(agentId, request, actor, gone.signal);
    const ws = await this.#accept(wanted);
    using watched = access.watch(actor, async (now) => {
      const agent = await this.#options.agents.find(agentId);
      authorise(now, verb, agentResource(agent, agentId));
    });
    const terminal = wsSocket(ws, { transport: socket });
    watched.signal.addEventListener(
      'abort',
      () => terminal.close(WsClose.PolicyViolation, '403 the right to it is gone'),
      {
        once: true,
      },
    );
    using _alive = keepAlive(ws, clock);
    await serveTerminal(terminal, channel, sessionId);
  }

  /** The agent's id, when the actor may. The decision is recorded first: without the record there is no terminal. */
  async #permit(
    actor: Actor,
    asked: string,
    verb: 'terminal.open' | 'terminal.observe',
    { caller, sessionId }: SessionRequest,
  ): Promise<string> {
    const { agents, audit } = this.#options;
    const agent = await agents.find(asked);
    const record = (result: 'allowed' | 'denied', reason: string | null) =>
      audit.record({
        actor: actorText(actor),
        actorName: actor.name,
        verb,
        resource: `agent:${agent.agent_id}`,
        agentId: agent.agent_id,
        address: caller.address,
        requestId: null,
        result,
        reason,
        details: { session_id: sessionId },
      });
    try {
      authorise(actor, verb, agentResource(agent, asked));
    } catch (error) {
      await record('denied', error instanceof ControlError ? error.code : null);
      throw error;
    }
    await record('allowed', null);
    return agent.agent_id;
  }

  /** `ws` answers a bad handshake by itself and says nothing: the session is free again when the connection closes. */
  #accept({ request, socket, head }: SessionRequest): Promise<WebSocket> {
    return new Promise((resolve, reject) => {
      const failed = () => reject(new ControlError('cancelled', 'the client has gone'));
      if (socket.destroyed) return failed();
      socket.once('close', failed);
      this.#server.handleUpgrade(request, socket, head, (ws) => {
        socket.off('close', failed);
        resolve(ws);
      });
    });
  }
}

/** Throws ControlError `invalid_request`. */
function parseQuery(query: string): z.output<typeof AttachQuery> {
  const parsed = AttachQuery.safeParse(Object.fromEntries(new URLSearchParams(query)));
  if (!parsed.success) throw new ControlError('invalid_request', `query: ${firstIssue(parsed.error)}`);
  return parsed.data;
}

import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Kysely } from 'kysely';
import { WebSocketServer } from 'ws';
import { ControlError, LIMITS, TUNNEL_SUBPROTOCOL } from '@drawbridge/protocol';
import { acceptFrameSocket, wsServerOptions, wsSocket } from '@drawbridge/runtime';
import type { Logger } from '@drawbridge/runtime';
import type { Clock, MessageSocket } from '@drawbridge/link';
import type { AgentActivity } from '../agents/agent-activity.ts';
import { verifyBearer } from '../agents/agent-auth.ts';
import { requireCertificateOf } from '../edge/client-certificate.ts';
import type { Caller, Edge } from '../edge/edge.ts';
import { headerOf } from '../edge/headers.ts';
import { addressKey } from '../limits/address-key.ts';
import type { TokenBuckets } from '../limits/token-buckets.ts';
import type { RefusalMetrics } from '../observability/refusal-metrics.ts';
import { requireBearer } from '../proxy/require-bearer.ts';
import { parseSandboxPath } from '../proxy/sandbox-path.ts';
import type { SandboxAddress } from '../proxy/sandbox-path.ts';
import type { WebSocketDoor } from '../proxy/web-socket-door.ts';
import { readHandshake } from '../proxy/web-socket-handshake.ts';
import { AgentsRepository } from '../store/agents-repository.ts';
import type { AgentRow } from '../store/agents-repository.ts';
import type { Schema } from '../store/schema.ts';
import { UUID_PATTERN, isUuid } from '../store/uuid.ts';
import type { Leases } from '../tunnels/leases.ts';
import type { LegPath } from '../tunnels/leg-handshake.ts';
import type { Dialler, OperatorTunnels } from '../tunnels/operator-tunnels.ts';
import type { SystemTunnels } from '../tunnels/system-tunnels.ts';
import type { AgentDoor } from './agent-door.ts';
import type { OperatorDoor } from './operator-door.ts';
import type { OperatorSignIn } from './operator-sign-in.ts';
import type { SessionDoor, SessionPath } from './session-door.ts';
import { refuseUpgrade } from './refuse-upgrade.ts';
import type { Strangers } from './strangers.ts';

const AGENT_PATH = new RegExp(`^/ws/agents/(?<agentId>${UUID_PATTERN})(?:/tunnels/(?<tunnelId>${UUID_PATTERN}))?$`);
const SESSION_PATH = new RegExp(`^/api/v1/agents/(?<agent>[^/]{1,64})/sessions/(?<sessionId>${UUID_PATTERN})/attach$`);
const OPERATOR_PATH = new RegExp(`^/ws/tunnel/(?<tunnelId>${UUID_PATTERN})$`);

/** Who was refused and does not hang up is dropped after this. */
const REFUSED_LINGER_MS = 2_000;

interface AgentPath {
  readonly kind: 'agent';
  readonly agentId: string;
  readonly tunnelId: string | undefined;
}

type Path =
  | AgentPath
  | { readonly kind: 'operator'; readonly tunnelId: string }
  | ({ readonly kind: 'session'; readonly tunnelId: undefined } & SessionPath)
  | { readonly kind: 'sandbox'; readonly address: SandboxAddress };

/** A request for a WebSocket that has passed the edge. */
interface Connection {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  readonly caller: Caller;
}

/** The listener of one lease, when a request did not come to the main one. */
export interface LeasedPort {
  readonly port: number;
  readonly tunnelId: string;
}

export interface UpgradeOptions {
  readonly db: Kysely<Schema>;
  readonly door: AgentDoor;
  readonly signIn: OperatorSignIn;
  readonly operators: OperatorDoor;
  readonly sessions: SessionDoor;
  readonly tunnels: SystemTunnels;
  readonly leases: Pick<Leases, 'find'>;
  readonly operatorTunnels: OperatorTunnels;
  /** To services behind agents. */
  readonly sandboxes: Pick<WebSocketDoor, 'serve'>;
  readonly strangers: Strangers;
  readonly clock: Clock;
  readonly log: Logger;
  readonly refusals: RefusalMetrics;
  /** False while agent mode is off, or the server drains. */
  readonly isOpen: () => boolean;
  readonly isDraining: () => boolean;
  readonly edge: Edge;
  /** Refused credentials, by address and agent: one broken machine does not lock its neighbours out. */
  readonly attempts: TokenBuckets;
  readonly activity: AgentActivity;
  /** Whether an agent may come from this address. */
  readonly isAllowed: (address: string) => boolean;
}

/** Every WebSocket begins here: authorised before it is accepted, refused in HTTP (PROTOCOL.md §2.1). */
export class UpgradeHandler {
  readonly #options: UpgradeOptions;
  readonly #links = new WebSocketServer(wsServerOptions('link'));

  constructor(options: UpgradeOptions) {
    this.#options = options;
  }

  /** The listener of the HTTP server's `upgrade`. Never throws; the socket is answered or closed. */
  handle(request: IncomingMessage, socket: Duplex, head: Buffer, via?: LeasedPort): void {
    // Until `ws` listens itself, a reset must not become an uncaught error.
    const ignore = () => undefined;
    socket.on('error', ignore);
    this.#serve(request, socket, head, via).catch((error: unknown) => {
      if (!(error instanceof ControlError)) this.#options.log.error({ err: error }, 'upgrade failed');
      const refusal = error instanceof ControlError ? error : new ControlError('internal', 'internal error');
      this.#options.refusals.refused('upgrade', refusal.code);
      this.#options.log.debug({ code: refusal.code }, 'upgrade refused');
      refuseUpgrade(socket, refusal);
      if (socket.closed) return;
      const linger = this.#options.clock.after(REFUSED_LINGER_MS, () => socket.destroy());
      socket.once('close', () => linger.cancel());
    });
  }

  async #serve(request: IncomingMessage, socket: Duplex, head: Buffer, via: LeasedPort | undefined): Promise<void> {
    const { edge, isOpen } = this.#options;
    const caller = edge.admit(request);
    const path = parsePath(request);
    if (via !== undefined && (path.kind === 'sandbox' || via.tunnelId !== path.tunnelId))
      throw new ControlError('not_found', 'this port serves one tunnel, and not this one');
    const connection = { request, socket, head, caller };
    if (path.kind === 'operator') return this.#operator(connection, path.tunnelId);
    if (path.kind === 'session') return this.#session(connection, path);
    if (path.kind === 'sandbox') return this.#toSandbox(connection, path.address);
    // Only a browser sends one, and an agent is none: a page must not even try. No page can send a bearer token with it.
    if (request.headers.origin !== undefined && request.headers.authorization === undefined)
      throw new ControlError('forbidden', 'no web page may connect as an agent');
    if (!isOpen()) throw new ControlError('server_draining', 'no agents are served now');
    return this.#fromAgent(connection, path, via);
  }

  async #operator(connection: Connection, tunnelId: string): Promise<void> {
    const { operators, strangers, isDraining } = this.#options;
    const { request, caller } = connection;
    if (isDraining()) throw new ControlError('server_draining', 'the control plane is restarting');
    using stranger = strangers.admit(addressKey(caller.address));
    const operator = await operators.admit(request, caller, tunnelId);
    const leg = this.#acceptLeg(connection);
    const dialler = { address: caller.address, authenticated: () => stranger.isKnown() };
    await this.#until(leg, { tunnelId }, operators.serve(operator, leg, dialler));
  }

  async #session(connection: Connection, path: SessionPath): Promise<void> {
    const { sessions, strangers, isDraining } = this.#options;
    if (isDraining()) throw new ControlError('server_draining', 'the control plane is restarting');
    using stranger = strangers.admit(addressKey(connection.caller.address));
    await sessions.serve({ ...connection, ...path }, () => stranger.isKnown());
  }

  async #toSandbox(connection: Connection, address: SandboxAddress): Promise<void> {
    const { signIn, sandboxes, strangers, isDraining } = this.#options;
    const { request, caller } = connection;
    if (isDraining()) throw new ControlError('server_draining', 'the control plane is restarting');
    const handshake = readHandshake(request, address.target);
    using stranger = strangers.admit(addressKey(caller.address));
    const actor = await signIn.actorOf(request, caller);
    requireBearer(request);
    stranger.isKnown();
    await sandboxes.serve({ ...connection, actor, address, handshake });
  }

  async #fromAgent(
    connection: Connection,
    { agentId, tunnelId }: AgentPath,
    via: LeasedPort | undefined,
  ): Promise<void> {
    const { door, strangers, attempts, activity, isAllowed } = this.#options;
    const {
      request,
      caller: { address },
    } = connection;
    if (!isAllowed(address)) throw new ControlError('forbidden', 'no agent may come from this address');
    const attempt = `${addressKey(address)} ${agentId}`;
    attempts.check(attempt);
    using stranger = strangers.admit(addressKey(address));
    const agent = await this.#agent(agentId, request).catch((error: unknown) => {
      if (error instanceof ControlError && error.code === 'auth_failed') {
        attempts.spend(attempt);
        activity.refused({ agentId, address, code: error.code });
      }
      throw error;
    });
    const sessionId = headerOf(request, 'x-session-id');
    if (tunnelId === undefined && !isUuid(sessionId ?? '')) {
      throw new ControlError('invalid_request', 'X-Session-Id is no UUID');
    }
    const authenticated = () => stranger.isKnown();
    if (tunnelId === undefined) {
      const link = await this.#acceptLink(connection);
      const visitor = { address, authenticated, refused: () => attempts.spend(attempt) };
      // Awaited here: the place among strangers is given back when this returns.
      return await this.#until(link, { agentId }, door.serve(agent, sessionId ?? '', link, visitor));
    }
    const leg = this.#acceptLeg(connection);
    await this.#until(
      leg,
      { agentId, tunnelId },
      this.#tunnelLeg({ agentId, tunnelId }, leg, { address, authenticated }, via),
    );
  }

  /** An agent's end of a lease, or of the system tunnel. */
  #tunnelLeg(path: LegPath, leg: MessageSocket, dialler: Dialler, via: LeasedPort | undefined): Promise<void> {
    const { leases, tunnels, operatorTunnels } = this.#options;
    const isLeased = leases.find(path.tunnelId) !== undefined;
    return isLeased
      ? operatorTunnels.serveAgent(path, leg, dialler, via?.port)
      : tunnels.serve(path.agentId, path.tunnelId, leg, dialler.authenticated);
  }

  async #until(socket: MessageSocket, ids: object, serving: Promise<void>): Promise<void> {
    await serving.catch((error: unknown) => {
      this.#options.log.error({ err: error, ...ids }, 'connection failed');
      socket.terminate();
    });
  }

  async #agent(agentId: string, request: IncomingMessage): Promise<AgentRow> {
    requireCertificateOf(agentId, request.socket);
    const deviceId = headerOf(request, 'x-device-id');
    if (deviceId !== undefined && deviceId !== agentId)
      throw new ControlError('auth_failed', 'X-Device-Id names another agent');
    const row = await new AgentsRepository(this.#options.db).find(agentId);
    if (row === undefined || row.status === 'revoked') throw new ControlError('auth_failed', 'no such agent');
    const authorization = headerOf(request, 'authorization');
    if (authorization !== undefined) verifyBearer(row, authorization, this.#options.clock.now());
    return row;
  }

  /** `ws` answers a bad handshake by itself and says nothing. */
  #acceptLink({ request, socket, head }: Connection): Promise<MessageSocket> {
    return new Promise((resolve, reject) => {
      if (socket.destroyed) {
        reject(new ControlError('unauthenticated', 'the client has gone'));
        return;
      }
      const failed = () => reject(new ControlError('unauthenticated', 'the handshake failed'));
      socket.once('close', failed);
      this.#links.handleUpgrade(request, socket, head, (ws) => {
        socket.off('close', failed);
        resolve(wsSocket(ws, { transport: socket }));
      });
    });
  }

  /** Tunnels carry bulk: their frames are read and written by our own code. */
  #acceptLeg({ request, socket, head }: Connection): MessageSocket {
    const leg = acceptFrameSocket(request, socket, head, {
      subprotocol: TUNNEL_SUBPROTOCOL,
      maxPayloadBytes: LIMITS.frameHeaderBytes + LIMITS.framePayloadBytesMax,
      clock: this.#options.clock,
    });
    if (leg === undefined) throw new ControlError('unauthenticated', 'the handshake failed');
    return leg;
  }
}

/** What is asked for, by path. Throws ControlError `not_found`, or `invalid_request` for a query that is no service's. */
function parsePath(request: IncomingMessage): Path {
  const address = parseSandboxPath(request.url ?? '');
  if (address !== undefined) return { kind: 'sandbox', address };
  const [path = '', query] = (request.url ?? '').split('?', 2);
  const session = SESSION_PATH.exec(path)?.groups;
  if (session !== undefined) {
    const { agent = '', sessionId = '' } = session;
    return { kind: 'session', tunnelId: undefined, agent, sessionId, query: query ?? '' };
  }
  const of = AGENT_PATH.exec(path)?.groups ?? OPERATOR_PATH.exec(path)?.groups;
  if (of === undefined) throw new ControlError('not_found', 'no WebSocket is served here');
  if (query !== undefined && query !== '') throw new ControlError('invalid_request', 'no query is taken here');
  const { agentId, tunnelId } = of;
  if (agentId !== undefined) return { kind: 'agent', agentId, tunnelId };
  if (tunnelId === undefined) throw new Error('a path of an operator names a tunnel');
  return { kind: 'operator', tunnelId };
}

import { STATUS_CODES } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Kysely } from 'kysely';
import { WebSocketServer } from 'ws';
import type { WebSocket } from 'ws';
import { ControlError } from '@drawbridge/protocol';
import type { ErrorCode } from '@drawbridge/protocol';
import { wsServerOptions, wsSocket } from '@drawbridge/runtime';
import type { Logger, WsKind } from '@drawbridge/runtime';
import type { Clock, MessageSocket } from '@drawbridge/link';
import { verifyBearer } from '../agents/agent-auth.ts';
import { AgentsRepository } from '../store/agents-repository.ts';
import type { AgentRow } from '../store/agents-repository.ts';
import type { Schema } from '../store/schema.ts';
import { UUID_PATTERN, isUuid } from '../store/uuid.ts';
import type { SystemTunnels } from '../tunnels/system-tunnels.ts';
import type { AgentDoor } from './agent-door.ts';
import { clientAddress } from './client-address.ts';
import type { Strangers } from './strangers.ts';

const PATH = new RegExp(`^/ws/agents/(?<agentId>${UUID_PATTERN})(?:/tunnels/(?<tunnelId>${UUID_PATTERN}))?$`);

/** A busy or closing server asks for this much patience. */
const RETRY_AFTER_SECONDS = 5;

export interface UpgradeOptions {
  readonly db: Kysely<Schema>;
  readonly door: AgentDoor;
  readonly tunnels: SystemTunnels;
  readonly strangers: Strangers;
  readonly clock: Clock;
  readonly log: Logger;
  /** False while agent mode is off, or the server drains. */
  readonly isOpen: () => boolean;
  /** Whether this address is one of our own proxies, whose X-Forwarded-For is believed. */
  readonly isTrustedProxy: (address: string) => boolean;
  /** Whether an agent may come from this address. */
  readonly isAllowed: (address: string) => boolean;
}

/** Every WebSocket begins here: authorised before it is accepted, refused in HTTP (PROTOCOL.md §2.1). */
export class UpgradeHandler {
  readonly #options: UpgradeOptions;
  readonly #servers = {
    link: new WebSocketServer(wsServerOptions('link')),
    tunnel: new WebSocketServer(wsServerOptions('tunnel')),
  } as const satisfies Record<WsKind, WebSocketServer>;

  constructor(options: UpgradeOptions) {
    this.#options = options;
  }

  /** The listener of the HTTP server's `upgrade`. Never throws; the socket is answered or closed. */
  handle(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // Until `ws` listens itself, a reset must not become an uncaught error.
    const ignore = () => undefined;
    socket.on('error', ignore);
    this.#serve(request, socket, head).catch((error: unknown) => {
      if (!(error instanceof ControlError)) this.#options.log.error({ err: error }, 'upgrade failed');
      refuse(socket, error instanceof ControlError ? error : new ControlError('internal', 'internal error'));
    });
  }

  async #serve(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const { door, tunnels, strangers, log } = this.#options;
    const address = clientAddress(
      request.socket.remoteAddress ?? 'unknown',
      headerOf(request, 'x-forwarded-for'),
      this.#options.isTrustedProxy,
    );
    const { agentId, tunnelId } = parsePath(request);
    if (!this.#options.isOpen()) throw new ControlError('server_draining', 'no agents are served now');
    if (!this.#options.isAllowed(address)) throw new ControlError('forbidden', 'no agent may come from this address');
    using stranger = strangers.admit(address);
    const agent = await this.#agent(agentId, request);
    const sessionId = headerOf(request, 'x-session-id');
    if (tunnelId === undefined && !isUuid(sessionId ?? '')) {
      throw new ControlError('invalid_request', 'X-Session-Id is no UUID');
    }
    const { message: accepted, ws } = await this.#accept(
      tunnelId === undefined ? 'link' : 'tunnel',
      request,
      socket,
      head,
    );
    const serving =
      tunnelId === undefined
        ? door.serve(agent, sessionId ?? '', accepted, () => stranger.isKnown())
        : tunnels.serve(agentId, tunnelId, accepted, () => stranger.isKnown());
    await serving.catch((error: unknown) => {
      log.error({ err: error, agentId }, 'connection failed');
      ws.terminate();
    });
  }

  async #agent(agentId: string, request: IncomingMessage): Promise<AgentRow> {
    const deviceId = headerOf(request, 'x-device-id');
    if (deviceId !== undefined && deviceId !== agentId)
      throw new ControlError('auth_failed', 'X-Device-Id names another agent');
    const row = await new AgentsRepository(this.#options.db).find(agentId);
    if (row === undefined || row.status === 'revoked') throw new ControlError('auth_failed', 'no such agent');
    const authorization = headerOf(request, 'authorization');
    if (authorization !== undefined) verifyBearer(row, authorization, this.#options.clock.now());
    return row;
  }

  #accept(
    kind: WsKind,
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
  ): Promise<{ message: MessageSocket; ws: WebSocket }> {
    return new Promise((resolve, reject) => {
      if (socket.destroyed) {
        reject(new ControlError('unauthenticated', 'the client has gone'));
        return;
      }
      // `ws` answers a bad handshake by itself and says nothing.
      const failed = () => reject(new ControlError('unauthenticated', 'the handshake failed'));
      socket.once('close', failed);
      this.#servers[kind].handleUpgrade(request, socket, head, (ws) => {
        socket.off('close', failed);
        resolve({ message: wsSocket(ws, { transport: socket }), ws });
      });
    });
  }
}

function parsePath(request: IncomingMessage): { agentId: string; tunnelId: string | undefined } {
  const [path = '', query] = (request.url ?? '').split('?', 2);
  const groups = PATH.exec(path)?.groups;
  if (groups?.['agentId'] === undefined) throw new ControlError('not_found', 'no WebSocket is served here');
  if (query !== undefined && query !== '') throw new ControlError('invalid_request', 'no query is taken here');
  return { agentId: groups['agentId'], tunnelId: groups['tunnelId'] };
}

function headerOf(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return typeof value === 'string' ? value : undefined;
}

const STATUS: Partial<Record<ErrorCode, number>> = {
  auth_failed: 401,
  forbidden: 403,
  internal: 500,
  invalid_request: 400,
  not_found: 404,
  rate_limited: 429,
  server_draining: 503,
  store_unavailable: 503,
  unauthenticated: 401,
};

function refuse(socket: Duplex, { code, message }: ControlError): void {
  if (socket.destroyed || socket.writableEnded) return;
  const status = STATUS[code] ?? 503;
  const body = JSON.stringify({ code, message });
  const retry = status === 429 || status === 503 ? `Retry-After: ${RETRY_AFTER_SECONDS}\r\n` : '';
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nConnection: close\r\n${retry}` +
      `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

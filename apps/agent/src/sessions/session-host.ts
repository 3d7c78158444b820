import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { Tunnel } from '@drawbridge/link';
import type { ChannelOffer, Clock } from '@drawbridge/link';
import {
  CloseReason,
  ControlError,
  LIMITS,
  OPERATIONS,
  SessionChannelMetadata,
  firstIssue,
} from '@drawbridge/protocol';
import { frameSocket } from '@drawbridge/runtime';
import type { Logger } from '@drawbridge/runtime';
import { z } from 'zod';
import { AGENT_LIMITS } from '../limits.ts';
import { attachViewer } from './attach-viewer.ts';
import { answer } from './host-request.ts';
import type { HostRequest } from './host-request.ts';
import type { SessionTable } from './session-table.ts';

const Create = z.object({
  session: OPERATIONS['session.create'].params,
  settings: z.object({
    shell: z.string(),
    ringBytes: z.number(),
    ttlMs: z.number(),
    runningMax: z.number(),
    runningOfOneMax: z.number(),
  }),
});
const One = OPERATIONS['session.get'].params;

/** What a session host is made from. */
export interface SessionHostOptions {
  readonly sessions: SessionTable;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Keeps the sessions of one agent in a process of their own, so that they outlive the agent's. Agents reach it by a unix socket that
 * their user alone may open: a tunnel's frames on the bare connection, without a handshake.
 */
export class SessionHost implements AsyncDisposable {
  readonly #options: SessionHostOptions;
  readonly #server: Server;
  readonly #tunnels = new Set<Tunnel>();

  private constructor(options: SessionHostOptions) {
    this.#options = options;
    this.#server = createServer({ allowHalfOpen: false }, (socket) => this.#connected(socket));
    this.#server.maxConnections = AGENT_LIMITS.sessionHostConnectionsMax;
  }

  /** Listens at `path`, which nobody else may. Rejects when somebody else does. */
  static async listen(path: string, options: SessionHostOptions): Promise<SessionHost> {
    const host = new SessionHost(options);
    // The socket is made with the mode that the mask leaves: there is no moment when others could open it.
    const mask = process.umask(0o177);
    try {
      await new Promise<void>((resolve, reject) => {
        host.#server.once('error', reject);
        host.#server.listen(path, resolve);
      });
    } finally {
      process.umask(mask);
    }
    return host;
  }

  /** Looks after the sessions until `signal` aborts, or there has been none for a while. */
  async run(signal: AbortSignal): Promise<void> {
    const { sessions, clock, log } = this.#options;
    let emptySinceMs = clock.monotonic();
    while (!signal.aborted) {
      await clock.sleep(AGENT_LIMITS.sessionSweepMs, signal).catch(() => undefined);
      await sessions.sweep();
      if (sessions.size > 0) emptySinceMs = clock.monotonic();
      else if (clock.monotonic() - emptySinceMs >= AGENT_LIMITS.sessionHostIdleMs)
        return log.info('no sessions: goodbye');
    }
  }

  /** Ends all sessions, and takes no connection any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    await this.#options.sessions.endAll();
    for (const tunnel of this.#tunnels) tunnel.close(CloseReason.AgentShutdown, 'the session host ends');
    await closed;
  }

  #connected(socket: Socket): void {
    const { clock, log } = this.#options;
    const maxPayloadBytes = LIMITS.frameHeaderBytes + LIMITS.framePayloadBytesMax;
    const tunnel = new Tunnel({
      socket: frameSocket(socket, { role: 'server', maxPayloadBytes, clock }),
      opens: 'even',
      clock,
      accept: (offer) => this.#accept(offer),
    });
    this.#tunnels.add(tunnel);
    log.info('an agent is connected');
    tunnel.ended
      .then(({ reason }) => {
        this.#tunnels.delete(tunnel);
        log.info({ reason }, 'an agent is gone');
      })
      .catch(() => undefined);
  }

  #accept(offer: ChannelOffer): void {
    const logBug = (error: unknown) => this.#options.log.error({ err: error }, 'channel failed');
    if (offer.protocol === 'request') answer(offer.accept(), (request) => this.#carryOut(request)).catch(logBug);
    else if (offer.protocol === 'session') this.#attach(offer).catch(logBug);
    else offer.refuse('unsupported', `a session host has no ${offer.protocol}`);
  }

  async #attach(offer: ChannelOffer): Promise<void> {
    const metadata = SessionChannelMetadata.safeParse(offer.metadata);
    if (!metadata.success) return offer.refuse('invalid_request', firstIssue(metadata.error));
    try {
      await attachViewer(this.#options.sessions.find(metadata.data.session_id), offer, metadata.data);
    } catch (error) {
      if (!(error instanceof ControlError)) throw error;
      offer.refuse(error.code, error.message);
    }
  }

  async #carryOut({ operation, params }: HostRequest): Promise<unknown> {
    const { sessions, log } = this.#options;
    switch (operation) {
      case 'create': {
        const { session: wanted, settings } = Create.parse(params);
        const session = await sessions.create(wanted, settings);
        const { sessionId, mode, createdBy } = session.facts;
        log.info({ sessionId, mode, pid: session.pid, createdBy }, 'session begun');
        return session.info();
      }
      case 'end': {
        const info = await sessions.end(One.parse(params).session_id);
        log.info({ sessionId: info.session_id, exitCode: info.exit_code, signal: info.signal }, 'session ended');
        return info;
      }
      case 'get':
        return sessions.find(One.parse(params).session_id).info();
      case 'list':
        return { items: sessions.list() };
      default:
        return operation satisfies never;
    }
  }
}

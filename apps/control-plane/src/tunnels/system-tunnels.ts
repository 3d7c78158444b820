import { randomUUID } from 'node:crypto';
import { Tunnel, firstMessage, untilAborted } from '@drawbridge/link';
import type { Channel, ChannelRequest, Clock, MessageSocket, TunnelEnd } from '@drawbridge/link';
import { CloseReason, ControlError, LIMITS } from '@drawbridge/protocol';
import type { ConnectPayload } from '@drawbridge/protocol';
import type { Logger } from '@drawbridge/runtime';
import type { AgentActivity } from '../agents/agent-activity.ts';
import type { LiveLink, Presence } from '../agents/presence.ts';
import type { CommandService } from '../commands/command-service.ts';
import { countedSocket } from '../observability/counted-socket.ts';
import type { Metrics } from '../observability/metrics.ts';
import { agentActor } from '../operators/actor.ts';
import { authorise } from '../operators/authorise.ts';
import { askToDial } from './ask-to-dial.ts';
import { agreeLeg, readConnect, refuseLeg } from './leg-handshake.ts';
import type { TunnelTokens } from './tunnel-tokens.ts';

/** What the system tunnel's token binds besides its agent and id: it has no port of its own and no domain. */
const BINDING = { port: 0, protocol: 'system', domain: '' } as const;
const IDLE_SWEEP_MS = 15_000;

/** A tunnel as it stands. */
export interface SystemTunnel {
  readonly agentId: string;
  readonly tunnelId: string;
  /** When it was asked for, in milliseconds since 1970. */
  readonly sinceMs: number;
  readonly channels: number;
  readonly isOpen: boolean;
}

interface Entry {
  readonly sinceMs: number;
  readonly tunnelId: string;
  /** The agent's process that was asked for it; undefined when it does not say. */
  readonly instance: string | undefined;
  readonly opened: PromiseWithResolvers<Tunnel>;
  tunnel: Tunnel | undefined;
}

export interface SystemTunnelsOptions {
  readonly commands: CommandService;
  readonly presence: Presence;
  readonly tokens: TunnelTokens;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly activity: AgentActivity;
}

/**
 * The tunnels that end in the control plane itself, at most one an agent: opened when somebody needs one, closed after five
 * minutes without a channel (PROTOCOL.md §1).
 */
export class SystemTunnels {
  readonly #options: SystemTunnelsOptions;
  readonly #entries = new Map<string, Entry>();

  constructor(options: SystemTunnelsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The tunnels there are, opening ones too. */
  list(): SystemTunnel[] {
    return Array.from(this.#entries, ([agentId, { tunnelId, sinceMs, tunnel }]) => ({
      agentId,
      tunnelId,
      sinceMs,
      channels: tunnel?.channels ?? 0,
      isOpen: tunnel !== undefined,
    }));
  }

  /**
   * Opens a channel on the agent's tunnel, and the tunnel if need be, and says who wanted it. Rejects with `agent_offline`,
   * `tunnel_unavailable`, or what the agent refuses the channel with.
   */
  async channel(agentId: string, request: ChannelRequest, actor: string, signal: AbortSignal): Promise<Channel> {
    const { tunnelId, opened } = this.#entries.get(agentId) ?? this.#open(agentId);
    // Whoever leaves goes at once; the tunnel goes on opening for the others.
    const tunnel = await untilAborted(opened.promise, signal);
    const channel = await tunnel.open(request, signal);
    const { log } = this.#options;
    const ids = { agentId, tunnelId, channelId: channel.id, protocol: request.protocol, actor };
    log.info(ids, 'channel open');
    channel.ended.then(({ code }) => log.debug({ ...ids, code }, 'channel closed')).catch(() => undefined);
    return channel;
  }

  #open(agentId: string): Entry {
    const instance = this.#options.presence.current(agentId)?.instance;
    const sinceMs = this.#options.clock.now();
    const opened = Promise.withResolvers<Tunnel>();
    const entry: Entry = { tunnelId: randomUUID(), sinceMs, instance, opened, tunnel: undefined };
    this.#entries.set(agentId, entry);
    entry.opened.promise.catch(() => this.#forget(agentId, entry));
    this.#ask(agentId, entry).catch((error: unknown) => entry.opened.reject(error));
    return entry;
  }

  /** Tells the agent to dial, and waits until its leg has connected. */
  async #ask(agentId: string, { tunnelId, opened }: Entry): Promise<void> {
    const token = await this.#options.tokens.issue({ sub: agentId, tunnel_id: tunnelId, ...BINDING });
    const params = { tunnel_id: tunnelId, kind: 'system', token } as const;
    await askToDial(this.#options, { agentId, params }, opened.promise);
  }

  /**
   * Takes over the agent's leg: its first message is CONNECT with the token, within 10 s. Anything else is answered with
   * CONNECT_ERR and closed. Resolves when the leg is closed.
   */
  async serve(agentId: string, tunnelId: string, leg: MessageSocket, onAuthenticated: () => void): Promise<void> {
    const { metrics } = this.#options;
    const socket = countedSocket(leg, metrics.traffic);
    const first = firstMessage(socket);
    let entry: Entry;
    try {
      entry = await this.#admit(
        agentId,
        tunnelId,
        await readConnect(first, { agentId, tunnelId }, this.#options.clock),
      );
    } catch (error) {
      if (!(error instanceof ControlError)) throw error;
      const { code, message } = error;
      this.#options.log.warn({ agentId, tunnelId, code, reason: message }, 'tunnel leg refused');
      metrics.refusals.refused('tunnel', code);
      refuseLeg(socket, error);
      return;
    }
    agreeLeg(socket, {
      heartbeat_seconds: LIMITS.heartbeatIntervalMs / 1000,
      idle_seconds: LIMITS.systemTunnelIdleMs / 1000,
    });
    onAuthenticated();
    const tunnel = new Tunnel({ socket: first.rest, opens: 'odd', clock: this.#options.clock });
    entry.tunnel = tunnel;
    entry.opened.resolve(tunnel);
    this.#options.log.info({ agentId, tunnelId }, 'system tunnel open');
    this.#options.activity.tunnelOpened(agentId, tunnelId);
    const end = await this.#untilEnded(tunnel);
    this.#forget(agentId, entry);
    this.#options.activity.tunnelClosed(agentId, tunnelId, end.reason);
    this.#options.log.info({ agentId, tunnelId, code: end.code, reason: end.reason }, 'system tunnel closed');
  }

  /** A tunnel leads to one process of the agent: when another one has taken over, it leads to the wrong machine. */
  linkUp({ agentId, instance }: LiveLink): void {
    const entry = this.#entries.get(agentId);
    if (entry === undefined || entry.instance === instance) return;
    this.close(agentId, CloseReason.UnexpectedDisconnect, 'another process of the agent has taken over');
  }

  /** Ends the agent's tunnel, if it has one. */
  close(agentId: string, code: CloseReason, reason: string): void {
    const entry = this.#entries.get(agentId);
    if (entry === undefined) return;
    this.#forget(agentId, entry);
    entry.opened.reject(new ControlError('tunnel_unavailable', reason));
    entry.tunnel?.close(code, reason);
  }

  /** Ends every tunnel: the control plane is shutting down. */
  closeAll(): void {
    for (const agentId of Array.from(this.#entries.keys())) {
      this.close(agentId, CloseReason.ServerShutdown, 'the control plane is shutting down');
    }
  }

  async #admit(agentId: string, tunnelId: string, connect: ConnectPayload): Promise<Entry> {
    await this.#options.tokens.redeem(connect.token, { sub: agentId, tunnel_id: tunnelId, ...BINDING });
    authorise(agentActor({ agent_id: connect.agent_id, name: agentId }), 'tunnel.serve', {
      kind: 'agent',
      agentId,
      labels: {},
    });
    const entry = this.#entries.get(agentId);
    if (entry?.tunnelId !== tunnelId || entry.tunnel !== undefined) {
      throw new ControlError('auth_failed', 'nobody waits for this tunnel');
    }
    return entry;
  }

  async #untilEnded(tunnel: Tunnel): Promise<TunnelEnd> {
    const { clock } = this.#options;
    const over = new AbortController();
    const watchIdle = async () => {
      let emptySinceMs = clock.monotonic();
      while (!over.signal.aborted) {
        await clock.sleep(IDLE_SWEEP_MS, over.signal);
        if (tunnel.channels > 0) emptySinceMs = clock.monotonic();
        else if (clock.monotonic() - emptySinceMs >= LIMITS.systemTunnelIdleMs) {
          tunnel.close(CloseReason.IdleTimeout, 'no channel for five minutes');
        }
      }
    };
    watchIdle().catch(() => undefined);
    const end = await tunnel.ended;
    over.abort(new Error('tunnel ended'));
    return end;
  }

  #forget(agentId: string, entry: Entry): void {
    if (this.#entries.get(agentId) === entry) this.#entries.delete(agentId);
  }
}

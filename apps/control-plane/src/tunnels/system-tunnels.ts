import { randomUUID } from 'node:crypto';
import { Tunnel, firstMessage, withTimeout } from '@drawbridge/link';
import type { Clock, MessageSocket, TunnelEnd } from '@drawbridge/link';
import {
  CloseReason,
  ConnectPayload,
  ControlError,
  FrameFlag,
  FrameType,
  LIMITS,
  PROTOCOL_VERSION,
  WsClose,
  decodeFrame,
  decodeJson,
  encodeFrame,
  encodeJson,
} from '@drawbridge/protocol';
import type { Logger } from '@drawbridge/runtime';
import type { LiveLink, Presence } from '../agents/presence.ts';
import type { CommandService } from '../commands/command-service.ts';
import { SYSTEM } from '../operators/actor.ts';
import { authorise } from '../operators/authorise.ts';
import type { TunnelTokens } from './tunnel-tokens.ts';

/** What the system tunnel's token binds besides its agent and id: it has no port of its own and no domain. */
const BINDING = { port: 0, protocol: 'system', domain: '' } as const;
const IDLE_SWEEP_MS = 15_000;

interface Entry {
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

  /** The agent's tunnel, opened if need be. Rejects with `agent_offline` or `tunnel_unavailable`. */
  async get(agentId: string): Promise<Tunnel> {
    const entry = this.#entries.get(agentId) ?? this.#open(agentId);
    return entry.opened.promise;
  }

  #open(agentId: string): Entry {
    const instance = this.#options.presence.current(agentId)?.instance;
    const entry: Entry = { tunnelId: randomUUID(), instance, opened: Promise.withResolvers(), tunnel: undefined };
    this.#entries.set(agentId, entry);
    entry.opened.promise.catch(() => this.#forget(agentId, entry));
    this.#ask(agentId, entry).catch((error: unknown) => entry.opened.reject(error));
    return entry;
  }

  /** Tells the agent to dial, and waits until its leg has connected. */
  async #ask(agentId: string, entry: Entry): Promise<void> {
    const { commands, tokens, clock } = this.#options;
    authorise(SYSTEM, 'tunnel.open', { agentId });
    const token = await tokens.issue({ sub: agentId, tunnel_id: entry.tunnelId, ...BINDING });
    const timeoutSeconds = Math.ceil((LIMITS.dialTimeoutMs + LIMITS.connectTimeoutMs) / 1000);
    const command = await commands.create(
      {
        agentId,
        operation: 'tunnel.open',
        params: { tunnel_id: entry.tunnelId, kind: 'system', token },
        timeoutSeconds,
        queueIfOffline: false,
        ttlSeconds: timeoutSeconds,
        hasDeadline: true,
      },
      SYSTEM,
    );
    const refused = commands.wait(command.id, AbortSignal.timeout(timeoutSeconds * 1000)).then((row) => {
      if (row.state === 'succeeded') return entry.opened.promise;
      throw new ControlError('tunnel_unavailable', `the agent opened no tunnel: ${row.error_message ?? row.state}`);
    });
    await withTimeout(
      clock,
      timeoutSeconds * 1000,
      Promise.race([entry.opened.promise, refused]),
      () => new ControlError('tunnel_unavailable', `the agent opened no tunnel within ${timeoutSeconds} s`),
    );
  }

  /**
   * Takes over the agent's leg: its first message is CONNECT with the token, within 10 s. Anything else is answered with
   * CONNECT_ERR and closed. Resolves when the leg is closed.
   */
  async serve(agentId: string, tunnelId: string, socket: MessageSocket, onAuthenticated: () => void): Promise<void> {
    const first = firstMessage(socket);
    let entry: Entry;
    try {
      const message = await withTimeout(this.#options.clock, LIMITS.connectTimeoutMs, first.message, () => {
        return new ControlError('auth_failed', 'no CONNECT within 10 s');
      });
      entry = await this.#admit(agentId, tunnelId, message);
    } catch (error) {
      const { code, message } =
        error instanceof ControlError ? error : new ControlError('protocol_error', 'the first frame is no CONNECT');
      this.#options.log.warn({ agentId, tunnelId, code, reason: message }, 'tunnel leg refused');
      socket.send(frame(FrameType.ConnectAck, FrameFlag.Err, { code, message, retryable: false }));
      socket.close(WsClose.PolicyViolation, code);
      return;
    }
    socket.send(
      frame(FrameType.ConnectAck, 0, {
        heartbeat_seconds: LIMITS.heartbeatIntervalMs / 1000,
        idle_seconds: LIMITS.systemTunnelIdleMs / 1000,
      }),
    );
    onAuthenticated();
    const tunnel = new Tunnel({ socket: first.rest, opens: 'odd', clock: this.#options.clock });
    entry.tunnel = tunnel;
    entry.opened.resolve(tunnel);
    const end = await this.#untilEnded(tunnel);
    this.#forget(agentId, entry);
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

  async #admit(agentId: string, tunnelId: string, message: string | Uint8Array): Promise<Entry> {
    if (typeof message === 'string') throw new ControlError('protocol_error', 'text on a tunnel');
    const { type, channelId, payload } = decodeFrame(message);
    if (type !== FrameType.Connect || channelId !== 0)
      throw new ControlError('protocol_error', 'the first frame is no CONNECT');
    const connect = decodeJson(ConnectPayload, payload);
    if (connect.agent_id !== agentId || connect.tunnel_id !== tunnelId || connect.version > PROTOCOL_VERSION) {
      throw new ControlError('auth_failed', 'CONNECT names another agent, tunnel or version');
    }
    await this.#options.tokens.redeem(connect.token, { sub: agentId, tunnel_id: tunnelId, ...BINDING });
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

function frame(type: FrameType, flags: number, payload: unknown): Uint8Array {
  return encodeFrame({ type, flags, channelId: 0, payload: encodeJson(payload) });
}

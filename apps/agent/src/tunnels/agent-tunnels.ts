import { randomUUID } from 'node:crypto';
import { Tunnel, firstMessage, withTimeout } from '@drawbridge/link';
import type { ChannelOffer, Clock, FirstMessage, MessageSocket } from '@drawbridge/link';
import {
  CloseReason,
  ControlError,
  ErrorPayload,
  FrameFlag,
  FrameType,
  LIMITS,
  PROTOCOL_VERSION,
  TUNNEL_SUBPROTOCOL,
  decodeFrame,
  decodeJson,
  encodeFrame,
  encodeJson,
} from '@drawbridge/protocol';
import type { ConnectPayload } from '@drawbridge/protocol';
import { dialWebSocket } from '@drawbridge/runtime';
import type { Logger } from '@drawbridge/runtime';
import type { ServerAccess } from '../link/dial-link.ts';
import { verifyTunnelToken } from './tunnel-token.ts';

/** Serves one kind of channel; it accepts or refuses the offer. */
export type ChannelServer = (offer: ChannelOffer) => void;

export interface AgentTunnelsOptions {
  readonly access: ServerAccess;
  readonly clock: Clock;
  readonly log: Logger;
  /** What the control plane's clock says now. */
  readonly serverNowMs: () => number;
  readonly channels: Readonly<Record<string, ChannelServer>>;
  /** What this agent's own file allows: a channel is the operation `channel.<protocol>`. */
  readonly isAllowed: (operation: string) => boolean;
}

/** The agent's legs of its tunnels: dialled when told to, never listened for. */
export class AgentTunnels implements AsyncDisposable {
  readonly #options: AgentTunnelsOptions;
  readonly #tunnels = new Map<string, Tunnel>();
  /** Names this process's in-memory state: a peer that sees another one knows that channels are lost. */
  readonly #instance = randomUUID();

  constructor(options: AgentTunnelsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#tunnels.size;
  }

  /** Checks the token against the pinned key, dials, says CONNECT; resolves once the control plane has agreed. */
  async open({ tunnelId, token }: { tunnelId: string; token: string }, signal: AbortSignal): Promise<void> {
    const { access, clock, log, serverNowMs } = this.#options;
    if (access.serverKey === undefined) {
      throw new ControlError(
        'forbidden',
        'no tunnel without a pinned key of the control plane: set server.server_key, or enrol',
      );
    }
    const binding = { agentId: access.agentId, tunnelId, serverKey: access.serverKey, serverNowMs: serverNowMs() };
    const { protocol } = await verifyTunnelToken(token, binding);
    const socket = await this.#dial(tunnelId, signal);
    const first = firstMessage(socket);
    try {
      const connect: ConnectPayload = {
        agent_id: access.agentId,
        tunnel_id: tunnelId,
        token,
        protocol,
        version: PROTOCOL_VERSION,
        instance: this.#instance,
      };
      socket.send(encodeFrame({ type: FrameType.Connect, flags: 0, channelId: 0, payload: encodeJson(connect) }));
      await readAnswer(first, clock);
    } catch (error) {
      socket.terminate();
      throw error;
    }
    const tunnel = new Tunnel({ socket: first.rest, opens: 'even', clock, accept: (offer) => this.#accept(offer) });
    this.#tunnels.set(tunnelId, tunnel);
    log.info({ tunnelId }, 'tunnel open');
    tunnel.ended
      .then((end) => log.info({ tunnelId, code: end.code, reason: end.reason }, 'tunnel closed'))
      .finally(() => this.#tunnels.delete(tunnelId))
      .catch(() => undefined);
  }

  close(tunnelId: string, reason: string): void {
    this.#tunnels.get(tunnelId)?.close(CloseReason.Ok, reason);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const tunnels = [...this.#tunnels.values()];
    for (const tunnel of tunnels) tunnel.close(CloseReason.AgentShutdown, 'the agent is shutting down');
    await Promise.all(tunnels.map((tunnel) => tunnel.ended));
  }

  #dial(tunnelId: string, signal: AbortSignal): Promise<MessageSocket> {
    const { access, clock } = this.#options;
    return dialWebSocket(
      {
        url: new URL(`/ws/agents/${access.agentId}/tunnels/${tunnelId}`, access.url).href,
        subprotocol: TUNNEL_SUBPROTOCOL,
        headers: { 'x-device-id': access.agentId },
        tls: access.tls,
        proxy: access.proxy,
        noProxy: access.noProxy,
        timeoutMs: LIMITS.dialTimeoutMs,
        maxPayloadBytes: LIMITS.frameHeaderBytes + LIMITS.framePayloadBytesMax,
        clock,
      },
      signal,
    );
  }

  #accept(offer: ChannelOffer): void {
    const { channels, isAllowed } = this.#options;
    const serve = Object.hasOwn(channels, offer.protocol) ? channels[offer.protocol] : undefined;
    if (serve === undefined) offer.refuse('unsupported', `this agent serves no ${offer.protocol} channels`);
    else if (isAllowed(`channel.${offer.protocol}`)) serve(offer);
    else
      offer.refuse('operation_not_allowed', `the agent's own configuration does not allow ${offer.protocol} channels`);
  }
}

async function readAnswer(first: FirstMessage, clock: Clock): Promise<void> {
  const message = await withTimeout(clock, LIMITS.connectTimeoutMs, first.message, () => {
    return new ControlError('tunnel_unavailable', 'no answer to CONNECT');
  });
  if (typeof message === 'string') throw new ControlError('tunnel_unavailable', 'text on a tunnel');
  const { type, flags, payload } = decodeFrame(message);
  if (type !== FrameType.ConnectAck)
    throw new ControlError('tunnel_unavailable', `CONNECT was answered with type ${type}`);
  if ((flags & FrameFlag.Err) === 0) return;
  const refusal = decodeJson(ErrorPayload, payload);
  throw new ControlError('tunnel_unavailable', `CONNECT was refused: ${refusal.message} (${refusal.code})`);
}

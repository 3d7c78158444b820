import { randomUUID } from 'node:crypto';
import { Tunnel, connectLeg } from '@drawbridge/link';
import type { ChannelOffer, Clock, ConnectedLeg, MessageSocket } from '@drawbridge/link';
import { CloseReason, ControlError, LIMITS, TUNNEL_SUBPROTOCOL, limitGroupOf } from '@drawbridge/protocol';
import { dialWebSocket } from '@drawbridge/runtime';
import type { DomainLimits, Logger } from '@drawbridge/runtime';
import type { ServerAccess } from '../link/dial-link.ts';
import { TunnelTokenGate } from './tunnel-token.ts';
import type { TunnelClaims } from './tunnel-token.ts';

/**
 * Serves one kind of channel; it accepts or refuses the offer. `tunnelId` is for its log. `operator` is who is at the other end of an
 * operator's tunnel: on the control plane's own, the channel's metadata say who asks.
 */
export type ChannelServer = (offer: ChannelOffer, tunnelId: string, operator?: string) => void;

/** A tunnel whose leg the control plane wants to be dialled. */
export interface WantedLeg {
  readonly tunnelId: string;
  readonly kind: 'system' | 'operator';
  readonly token: string;
  /** Of the control plane; without it, the one of the link. */
  readonly port?: number | undefined;
  /** Who is at the other end, as people know them. */
  readonly operator?: string | undefined;
}

export interface AgentTunnelsOptions {
  readonly access: ServerAccess;
  readonly clock: Clock;
  readonly log: Logger;
  /** What the control plane's clock says now. */
  readonly serverNowMs: () => number;
  readonly channels: Readonly<Record<string, ChannelServer>>;
  /** What this agent's own file allows: a channel is the operation `channel.<protocol>`. */
  readonly isAllowed: (operation: string) => boolean;
  /** How many tunnels at once this agent's own file allows, by group of domains; 0: any number. */
  readonly domains: DomainLimits;
}

/** A tunnel that has, or waits for, a leg. */
interface Entry {
  readonly tunnel: Tunnel;
  /** Names this end's in-memory state: a peer that sees another one knows that channels are lost. */
  readonly instance: string;
  readonly group: string;
}

/** The agent's ends of its tunnels: dialled when told to, never listened for. */
export class AgentTunnels implements AsyncDisposable {
  readonly #options: AgentTunnelsOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #tokens = new TunnelTokenGate();
  /** Those that are being dialled: they count already. */
  readonly #dialling = new Set<Pick<WantedLeg, 'tunnelId'> & Pick<Entry, 'group'>>();
  #creditStallsOfEnded = 0;
  #isOver = false;

  constructor(options: AgentTunnelsOptions) {
    this.#options = options;
  }

  /** Times that a channel had data and no credit, since the start. */
  get creditStalls(): number {
    let stalls = this.#creditStallsOfEnded;
    for (const { tunnel } of this.#entries.values()) stalls += tunnel.stats.creditStalls;
    return stalls;
  }

  get size(): number {
    return this.#entries.size;
  }

  /**
   * Checks the token against the pinned key, dials, says CONNECT; resolves once the control plane has agreed. A tunnel that is known goes on
   * by way of the new leg. Rejects with ControlError, `domain_limit` among others, or with what the dial failed with.
   */
  async open(wanted: WantedLeg, signal: AbortSignal): Promise<void> {
    const { tunnelId } = wanted;
    const claims = await this.#redeem(wanted);
    const group = limitGroupOf(claims.domain ?? '');
    const known = this.#entries.get(tunnelId);
    if (known === undefined) this.#requireRoom(tunnelId, group);
    const dialling = { tunnelId, group };
    this.#dialling.add(dialling);
    try {
      const instance = known?.instance ?? randomUUID();
      const leg = await this.#connect(wanted, claims, instance, signal);
      if (this.#isOver || this.#entries.get(tunnelId) !== known) {
        leg.socket.terminate();
        throw new ControlError('conflict', 'the tunnel ended, or began, while it was dialled');
      }
      const heartbeatMs = leg.ack.heartbeat_seconds * 1000;
      if (known !== undefined) known.tunnel.attach(leg.socket, heartbeatMs);
      else this.#add(wanted, { instance, group }, leg);
    } finally {
      this.#dialling.delete(dialling);
    }
  }

  close(tunnelId: string, reason: string): void {
    this.#entries.get(tunnelId)?.tunnel.close(CloseReason.Ok, reason);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    const tunnels = Array.from(this.#entries.values(), ({ tunnel }) => tunnel);
    for (const tunnel of tunnels) tunnel.close(CloseReason.AgentShutdown, 'the agent is shutting down');
    await Promise.all(tunnels.map((tunnel) => tunnel.ended));
  }

  #redeem({ tunnelId, kind, token, port }: WantedLeg): Promise<TunnelClaims> {
    const { access, serverNowMs } = this.#options;
    const { agentId, serverKey } = access;
    if (serverKey === undefined) {
      throw new ControlError(
        'forbidden',
        'no tunnel without a pinned key of the control plane: set server.server_key, or enrol',
      );
    }
    return this.#tokens.redeem(token, { agentId, tunnelId, kind, port, serverKey, serverNowMs: serverNowMs() });
  }

  /** This agent counts for itself: what the control plane allows changes nothing (S3-121). */
  #requireRoom(tunnelId: string, group: string): void {
    const limits: Readonly<Record<string, number | undefined>> = this.#options.domains;
    const limit = limits[group] ?? 0;
    if (limit === 0) return;
    const others = new Map(Array.from(this.#dialling, (one) => [one.tunnelId, one.group]));
    for (const [id, entry] of this.#entries) others.set(id, entry.group);
    others.delete(tunnelId);
    const count = [...others.values()].filter((other) => other === group).length;
    if (count >= limit)
      throw new ControlError('domain_limit', `tunnels.domains.${group}: this agent allows ${limit} at a time`);
  }

  async #connect(
    wanted: WantedLeg,
    { protocol, domain }: TunnelClaims,
    instance: string,
    signal: AbortSignal,
  ): Promise<ConnectedLeg> {
    const { access, clock } = this.#options;
    const { tunnelId, token } = wanted;
    const socket = await this.#dial(wanted, signal);
    const connect = { agent_id: access.agentId, tunnel_id: tunnelId, token, protocol, instance };
    return connectLeg(socket, domain === undefined ? connect : { ...connect, domain }, clock);
  }

  #add(
    { tunnelId, kind, operator }: WantedLeg,
    named: Pick<Entry, 'instance' | 'group'>,
    { socket, ack }: ConnectedLeg,
  ): void {
    const { clock, log } = this.#options;
    const who = kind === 'operator' ? (operator ?? '') : undefined;
    const accept = (offer: ChannelOffer) => this.#accept(offer, tunnelId, who);
    const graceMs = (ack.grace_seconds ?? 0) * 1000;
    const onLegLost = () => log.info({ tunnelId }, 'tunnel lost its connection: it waits for the next');
    const tunnel = new Tunnel({
      socket,
      opens: 'even',
      clock,
      accept,
      heartbeatIntervalMs: ack.heartbeat_seconds * 1000,
      ...(kind === 'operator' && { resume: { graceMs, onLegLost } }),
    });
    const entry = { tunnel, ...named };
    this.#entries.set(tunnelId, entry);
    log.info({ tunnelId, kind }, 'tunnel open');
    tunnel.ended
      .then(({ code, reason }) => log.info({ tunnelId, code, reason, ...tunnel.stats }, 'tunnel closed'))
      .finally(() => {
        this.#creditStallsOfEnded += tunnel.stats.creditStalls;
        if (this.#entries.get(tunnelId) === entry) this.#entries.delete(tunnelId);
      })
      .catch(() => undefined);
  }

  #dial({ tunnelId, port }: WantedLeg, signal: AbortSignal): Promise<MessageSocket> {
    const { access, clock } = this.#options;
    const url = new URL(`/ws/agents/${access.agentId}/tunnels/${tunnelId}`, access.url);
    if (port !== undefined) url.port = String(port);
    return dialWebSocket(
      {
        url: url.href,
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

  #accept(offer: ChannelOffer, tunnelId: string, operator: string | undefined): void {
    const { channels, isAllowed } = this.#options;
    const serve = Object.hasOwn(channels, offer.protocol) ? channels[offer.protocol] : undefined;
    if (serve === undefined) offer.refuse('unsupported', `this agent serves no ${offer.protocol} channels`);
    else if (isAllowed(`channel.${offer.protocol}`)) serve(offer, tunnelId, operator);
    else
      offer.refuse('operation_not_allowed', `the agent's own configuration does not allow ${offer.protocol} channels`);
  }
}

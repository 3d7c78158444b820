import { firstMessage } from '@drawbridge/link';
import type { Clock, MessageSocket } from '@drawbridge/link';
import { CloseReason, ControlError, WsClose } from '@drawbridge/protocol';
import type { ChannelOpenPayload } from '@drawbridge/protocol';
import type { Logger } from '@drawbridge/runtime';
import type { LiveLink, Presence } from '../agents/presence.ts';
import type { CommandService } from '../commands/command-service.ts';
import type { AgentLabels } from '../events/agent-labels.ts';
import { countedSocket } from '../observability/counted-socket.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { AccessWatch } from '../operators/access-watch.ts';
import { SYSTEM, actorText, agentActor } from '../operators/actor.ts';
import type { Actor } from '../operators/actor.ts';
import { authorise, can } from '../operators/authorise.ts';
import { channelRefusal } from './channel-rule.ts';
import { DialRequests } from './dial-requests.ts';
import type { LeaseActivity } from './lease-activity.ts';
import { agentClaims, operatorClaims } from './lease-claims.ts';
import { tunnelNotFound } from './lease-ends.ts';
import type { Lease, LeaseEnd } from './lease.ts';
import type { Leases } from './leases.ts';
import { agreeLeg, readConnect, refuseLeg } from './leg-handshake.ts';
import type { LegPath } from './leg-handshake.ts';
import { Relay } from './relay.ts';
import type { Side } from './relay.ts';
import { verbOfTunnel } from './tunnel-verb.ts';
import type { TunnelTokens } from './tunnel-tokens.ts';

export interface OperatorTunnelsOptions {
  readonly leases: Leases;
  readonly tokens: TunnelTokens;
  readonly commands: CommandService;
  readonly presence: Presence;
  readonly labels: Pick<AgentLabels, 'of'>;
  readonly access: Pick<AccessWatch, 'watch'>;
  readonly activity: Pick<LeaseActivity, 'refused'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly heartbeatSeconds: number;
  /** Whether leases have listeners of their own, which agents have to be told of. */
  readonly hasOwnPorts: boolean;
  readonly random?: () => number;
}

/** Who dials a leg, from where, and whom to tell that it is who it says. */
export interface Dialler {
  readonly address: string;
  readonly authenticated: () => void;
}

/** The tunnels of operators: a relay for each lease, whose ends come, go and come back. */
export class OperatorTunnels {
  readonly #options: OperatorTunnelsOptions;
  readonly #relays = new Map<string, Relay>();
  readonly #dialling: DialRequests;
  /** Who is at the operator's end. */
  readonly #operators = new Map<string, Actor>();

  constructor(options: OperatorTunnelsOptions) {
    this.#options = options;
    this.#dialling = new DialRequests({
      ...options,
      isWanted: (lease) =>
        options.leases.find(lease.tunnelId) === lease && this.#relays.get(lease.tunnelId)?.has('agent') !== true,
      onRefused: (lease, end) => this.#endLease(lease, end),
    });
    options.leases.onRequested((lease) => this.#dialling.ask(lease));
    options.leases.onEnded((lease, end) => this.#end(lease, end));
  }

  /** Channels of a tunnel that are open, or opening. */
  channelsOf(tunnelId: string): number {
    return this.#relays.get(tunnelId)?.channels ?? 0;
  }

  /**
   * Takes over an agent's leg: its first message is CONNECT. `port` is the lease's own listener, when it came to that. Resolves when
   * the leg is closed.
   */
  async serveAgent(path: LegPath, leg: MessageSocket, dialler: Dialler, port?: number): Promise<void> {
    const { hasOwnPorts } = this.#options;
    await this.#serve('agent', path, leg, dialler, async (lease, token) => {
      if (hasOwnPorts && port === undefined)
        throw new ControlError('auth_failed', `this tunnel is served on port ${lease.port}`);
      await this.#options.tokens.redeem(token, agentClaims(lease), 'tunnel-agent');
      authorise(agentActor({ agent_id: path.agentId, name: path.agentId }), 'tunnel.serve', {
        kind: 'agent',
        agentId: path.agentId,
        labels: {},
      });
    });
  }

  /**
   * Who may be at the operator's end, before their WebSocket is accepted: the lease's operator, or who may take it over. Throws
   * ControlError `tunnel_not_found`, `forbidden` or `already_connected`.
   */
  async admitOperator(actor: Actor, tunnelId: string): Promise<Lease> {
    const lease = this.#options.leases.find(tunnelId);
    if (lease === undefined) throw tunnelNotFound(tunnelId);
    const resource = await this.#resourceOf(lease);
    const missing = () => tunnelNotFound(tunnelId);
    authorise(actor, verbOfTunnel(lease.protocol), { ...resource, toRead: 'tunnel.read', missing });
    if (lease.operatorId !== actorText(actor) && !can(actor, 'tunnel.takeover', resource))
      throw new ControlError('already_connected', "this tunnel is somebody else's");
    return lease;
  }

  /** Takes over an operator's leg, for as long as they may have it. Resolves when the leg is closed. */
  async serveOperator(actor: Actor, lease: Lease, leg: MessageSocket, dialler: Dialler): Promise<void> {
    const { access, tokens } = this.#options;
    const { tunnelId, agentId } = lease;
    using watched = access.watch(actor, async (now) => {
      authorise(now, verbOfTunnel(lease.protocol), await this.#resourceOf(lease));
    });
    watched.signal.addEventListener('abort', () => leg.close(WsClose.PolicyViolation, '403 the right to it is gone'), {
      once: true,
    });
    await this.#serve(
      'operator',
      { tunnelId, agentId },
      leg,
      dialler,
      (_lease, token) => tokens.redeem(token, operatorClaims(lease, actorText(actor)), 'tunnel-operator'),
      actor,
    );
  }

  /** The agent is back: it is asked for every end that it has not. */
  linkUp({ agentId }: Pick<LiveLink, 'agentId'>): void {
    for (const lease of this.#options.leases.ofAgent(agentId)) {
      // It may have to be asked sooner than the last attempt would have it.
      this.#dialling.stop(lease.tunnelId);
      this.#dialling.ask(lease);
    }
  }

  /** Lets every leg go: the leases survive the control plane, and both ends are to come back. */
  drop(): void {
    this.#dialling.close();
    for (const relay of this.#relays.values()) relay.drop(WsClose.TryAgainLater, 'restarting');
    this.#relays.clear();
  }

  async #serve(
    side: Side,
    path: LegPath,
    leg: MessageSocket,
    { address, authenticated }: Dialler,
    redeem: (lease: Lease, token: string) => Promise<void>,
    by?: Actor,
  ): Promise<void> {
    const { leases, metrics, clock } = this.#options;
    const socket = countedSocket(leg, metrics.traffic);
    const first = firstMessage(socket);
    const { tunnelId } = path;
    let connected: { lease: Lease; instance: string };
    try {
      const connect = await readConnect(first, path, clock);
      const lease = leases.find(tunnelId);
      if (lease?.agentId !== path.agentId) throw new ControlError('auth_failed', 'there is no such tunnel');
      if (connect.protocol !== lease.protocol || (connect.domain ?? lease.domain) !== lease.domain)
        throw new ControlError('auth_failed', `CONNECT names another protocol or domain than ${lease.protocol}`);
      await redeem(lease, connect.token);
      if (leases.find(tunnelId) !== lease) throw new ControlError('auth_failed', 'the tunnel has ended');
      connected = { lease, instance: connect.instance };
    } catch (error) {
      if (!(error instanceof ControlError)) throw error;
      this.#refused(side, path, error, { address, by });
      refuseLeg(socket, error);
      return;
    }
    const { lease, instance } = connected;
    authenticated();
    agreeLeg(socket, {
      heartbeat_seconds: this.#options.heartbeatSeconds,
      idle_seconds: lease.idleSeconds,
      grace_seconds: lease.graceSeconds,
    });
    if (side === 'agent') this.#dialling.stop(tunnelId);
    if (by !== undefined) this.#operators.set(tunnelId, by);
    const relay = this.#relayOf(lease);
    const served = relay.attach(side, first.rest, instance);
    // In this very turn: the loss of the leg that this one replaces means nothing any more, that of this one comes after.
    if (relay.has(side)) await leases.legUp(tunnelId, side, isOwner(lease, by) ? undefined : by);
    await served;
  }

  #refused(
    side: Side,
    path: LegPath,
    { code, message }: ControlError,
    { address, by }: { address: string; by: Actor | undefined },
  ): void {
    const { metrics, log, activity } = this.#options;
    log.warn({ ...path, side, address, code, reason: message }, 'tunnel leg refused');
    metrics.refusals.refused('tunnel', code);
    activity.refused(path, side, { address, code, by });
  }

  #relayOf(lease: Lease): Relay {
    const { tunnelId } = lease;
    const known = this.#relays.get(tunnelId);
    if (known !== undefined) return known;
    const { leases, clock, metrics, log, heartbeatSeconds } = this.#options;
    const relay = new Relay({
      clock,
      heartbeatIntervalMs: heartbeatSeconds * 1000,
      nextEpoch: () => leases.nextEpoch(tunnelId),
      refusal: (side, open) => this.#channelRefusal(lease, side, open),
      onActivity: (from, bytes) => {
        const up = from === 'operator';
        metrics.tunnels.relayed(up ? 'up' : 'down', bytes);
        leases.noteTraffic(tunnelId, up ? bytes : 0, up ? 0 : bytes);
      },
      onLegLost: (side, end) => this.#legLost(lease, side, `${end.code} ${end.reason}`.trim()),
      onEnded: (by, { code, reason }) => {
        const who = by === 'operator' ? 'the operator' : 'the agent';
        this.#endLease(lease, { code: closeReasonOf(code), reason: reason === '' ? `closed by ${who}` : reason }, by);
      },
      onResumed: () => metrics.tunnels.resumed(),
      onResent: (from, bytes) => metrics.tunnels.resent(from === 'operator' ? 'up' : 'down', bytes),
      onHeld: (side) => metrics.tunnels.held(side === 'operator' ? 'up' : 'down'),
      onError: (error) => {
        log.warn({ err: error, tunnelId }, 'the ends of a tunnel cannot meet');
        relay.drop(WsClose.TryAgainLater, 'store unavailable');
        this.#relays.delete(tunnelId);
        for (const side of ['operator', 'agent'] as const) this.#legLost(lease, side, 'store unavailable');
      },
    });
    this.#relays.set(tunnelId, relay);
    return relay;
  }

  #channelRefusal(lease: Lease, side: Side, open: ChannelOpenPayload): ControlError | undefined {
    const { log } = this.#options;
    const { tunnelId, agentId, protocol, operatorId } = lease;
    const refusal =
      side === 'agent'
        ? new ControlError('forbidden', 'an agent opens no channels on a tunnel of an operator')
        : channelRefusal(lease, open);
    const ids = { tunnelId, agentId, protocol, operatorId };
    if (refusal === undefined) log.debug(ids, 'channel asked for');
    else log.warn({ ...ids, code: refusal.code, reason: refusal.message }, 'channel refused');
    return refusal;
  }

  #legLost(lease: Lease, side: Side, reason: string): void {
    const { leases, log } = this.#options;
    const { tunnelId } = lease;
    leases
      .legGone(tunnelId, side, reason)
      .catch((error: unknown) => log.warn({ err: error, tunnelId, side }, 'the loss of a leg is not stored'));
    if (side === 'agent') this.#dialling.ask(lease);
  }

  #endLease({ tunnelId }: Lease, end: LeaseEnd, by?: Side): void {
    this.#options.leases
      .end(tunnelId, end, (by === 'operator' ? this.#operators.get(tunnelId) : undefined) ?? 'system')
      .catch((error: unknown) => this.#options.log.warn({ err: error, tunnelId }, 'the end of a lease is not stored'));
  }

  /** The lease is over: both ends are told, an agent without a leg by way of its link. */
  #end({ tunnelId, agentId }: Lease, end: LeaseEnd): void {
    const { presence, commands, log } = this.#options;
    this.#dialling.stop(tunnelId);
    const relay = this.#relays.get(tunnelId);
    this.#relays.delete(tunnelId);
    this.#operators.delete(tunnelId);
    const hadAgent = relay?.has('agent') === true;
    relay?.close({ code: end.code, reason: end.reason });
    if (hadAgent || presence.current(agentId) === undefined) return;
    const command = {
      agentId,
      operation: 'tunnel.close',
      params: { tunnel_id: tunnelId, reason: end.reason.slice(0, 200) },
      timeoutSeconds: 20,
      queueIfOffline: false,
      ttlSeconds: 20,
      hasDeadline: true,
    } as const;
    // Where this does not arrive, the agent's own grace ends the tunnel.
    commands.create(command, SYSTEM).catch((error: unknown) => log.debug({ err: error, tunnelId }, 'agent not told'));
  }

  async #resourceOf({ agentId }: Lease) {
    return { kind: 'agent', agentId, labels: (await this.#options.labels.of(agentId)) ?? {} } as const;
  }
}

function closeReasonOf(code: number): CloseReason {
  return Object.values(CloseReason).find((known) => known === code) ?? CloseReason.ProtocolError;
}

function isOwner(lease: Lease, by: Actor | undefined): boolean {
  return by !== undefined && actorText(by) === lease.operatorId;
}

import { randomUUID } from 'node:crypto';
import { Tunnel, connectLeg } from '@drawbridge/link';
import type { Channel, ChannelOffer, SocketEnd } from '@drawbridge/link';
import type { ConnectPayload, TunnelProtocol } from '@drawbridge/protocol';
import { CloseReason } from '@drawbridge/protocol';
import { eventually, socketPair } from '@drawbridge/testkit';
import type { SocketPair } from '@drawbridge/testkit';
import { z } from 'zod';
import { ADMIN } from '../control-plane-fixture.ts';
import type { RecordedLink } from '../control-plane-fixture.ts';
import type { AuditEntry } from '../audit/audit-entry.ts';
import { AgentLabels } from '../events/agent-labels.ts';
import { ServerIdentity } from '../identity/server-identity.ts';
import { actorText } from '../operators/actor.ts';
import type { Actor } from '../operators/actor.ts';
import type { WantedTunnel } from './domain-limits.ts';
import { LeaseActivity } from './lease-activity.ts';
import { operatorClaims } from './lease-claims.ts';
import type { Lease } from './lease.ts';
import { LeasesFixture } from './leases-fixture.ts';
import { OperatorTunnels } from './operator-tunnels.ts';
import { TunnelTokens } from './tunnel-tokens.ts';
import type { Side } from './relay.ts';

const OpenCommand = z.object({
  operation: z.literal('tunnel.open'),
  params: z.object({
    tunnel_id: z.string(),
    kind: z.literal('operator'),
    token: z.string(),
    port: z.number().optional(),
  }),
});

/** For tests: a tunnel that an agent was told to dial. */
export interface Asked {
  readonly commandId: string;
  readonly tunnelId: string;
  readonly token: string;
  readonly port: number | undefined;
}

/** For tests: an end as it runs somewhere, and its leg. */
export interface ConnectedEnd {
  readonly tunnel: Tunnel;
  readonly instance: string;
  pair: SocketPair;
  /** How the leg ended, as this end saw it. */
  readonly lost: SocketEnd[];
}

/** For tests: operator tunnels over real leases, with the test as agents and operators. Disposing leaves nothing. */
export class OperatorTunnelsFixture implements AsyncDisposable {
  readonly held: LeasesFixture;
  readonly tokens: TunnelTokens;
  /** Who was turned away. */
  readonly refused: AuditEntry[] = [];
  tunnels: OperatorTunnels;
  readonly #ends: Tunnel[] = [];
  readonly #pairs: SocketPair[] = [];
  readonly #serving: Promise<void>[] = [];

  private constructor(held: LeasesFixture, tokens: TunnelTokens) {
    this.held = held;
    this.tokens = tokens;
    this.tunnels = this.#boot();
  }

  static async make(): Promise<OperatorTunnelsFixture> {
    const held = await LeasesFixture.make();
    const identity = await ServerIdentity.load(held.people.control.dir.join('identity.json'));
    return new OperatorTunnelsFixture(held, new TunnelTokens(identity, held.clock));
  }

  get clock() {
    return this.held.clock;
  }

  get control() {
    return this.held.people.control;
  }

  /** An agent that is connected and gets commands, and its link. */
  async agent(): Promise<{ agentId: string; link: RecordedLink }> {
    const agentId = await this.control.addAgent();
    return { agentId, link: await this.control.connect(agentId) };
  }

  async request(agentId: string, wanted: WantedTunnel = { protocol: 'tcp' }, actor: Actor = ADMIN): Promise<Lease> {
    return this.held.request(await this.held.row(agentId), wanted, actor);
  }

  /** What the last of `count` commands on this link tells its agent to dial. */
  async asked(link: RecordedLink, count = 1): Promise<Asked> {
    const last = (await this.control.delivered(link, count)).at(-1);
    const { params } = OpenCommand.parse(last?.payload);
    return { commandId: last?.id ?? '', tunnelId: params.tunnel_id, token: params.token, port: params.port };
  }

  /** A new end of the lease: nothing is connected yet. */
  end(side: Side, accept: (offer: ChannelOffer) => void = (offer) => offer.accept()): ConnectedEnd {
    const lost: SocketEnd[] = [];
    const tunnel = new Tunnel({
      opens: side === 'operator' ? 'odd' : 'even',
      clock: this.clock,
      resume: { graceMs: 3_600_000, onLegLost: (how) => lost.push(how) },
      ...(side === 'agent' && { accept }),
    });
    this.#ends.push(tunnel);
    return { tunnel, instance: randomUUID(), pair: this.#pair(), lost };
  }

  /** The agent dials as it was told, and says so. */
  async dial(lease: Lease, asked: Asked, end = this.end('agent')): Promise<ConnectedEnd> {
    const { agentId, tunnelId } = lease;
    end.pair = this.#pair();
    this.#serving.push(this.tunnels.serveAgent({ agentId, tunnelId }, end.pair.a, DIALLER, asked.port));
    await this.#connect(lease, asked.token, end);
    const done = { status: 'success', data: { tunnel_id: tunnelId } } as const;
    await this.control.parts.commands.end(asked.commandId, ['delivered'], done);
    return end;
  }

  /** The operator dials, with a fresh token. */
  async attach(lease: Lease, actor: Actor = ADMIN, end = this.end('operator')): Promise<ConnectedEnd> {
    const token = await this.tokens.issue(operatorClaims(lease, actorText(actor)), 'tunnel-operator');
    await this.tunnels.admitOperator(actor, lease.tunnelId);
    end.pair = this.#pair();
    this.#serving.push(this.tunnels.serveOperator(actor, lease, end.pair.a, DIALLER));
    return this.#connect(lease, token, end);
  }

  /** A lease whose ends have met. */
  async connected(wanted?: WantedTunnel, actor?: Actor) {
    const { agentId, link } = await this.agent();
    const lease = await this.request(agentId, wanted, actor);
    const agent = await this.dial(lease, await this.asked(link));
    const operator = await this.attach(lease, actor);
    await eventually(() => operator.tunnel.isFlowing && agent.tunnel.isFlowing, { what: 'both ends to meet' });
    return { agentId, link, lease, agent, operator };
  }

  /** Somebody comes for the agent's end and says this; what they are told. */
  async refusal(lease: Lease, connect: Partial<ConnectPayload>, port?: number): Promise<unknown> {
    const { agentId, tunnelId, protocol } = lease;
    const { a, b } = this.#pair();
    this.#serving.push(this.tunnels.serveAgent({ agentId, tunnelId }, a, DIALLER, port));
    const said = {
      agent_id: agentId,
      tunnel_id: tunnelId,
      protocol,
      instance: randomUUID(),
      token: '',
      ...connect,
    };
    return connectLeg(b, said, this.clock).then(
      () => undefined,
      (error: unknown) => error,
    );
  }

  /** The control plane ends without a word, and another begins on the same store. */
  async restart(): Promise<void> {
    this.tunnels.drop();
    await this.held.restart();
    this.tunnels = this.#boot();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.tunnels.drop();
    for (const tunnel of this.#ends) tunnel.close(CloseReason.Cancelled, 'the test is over');
    for (const pair of this.#pairs) pair.cut();
    await Promise.all(this.#serving);
    await this.held[Symbol.asyncDispose]();
  }

  #boot(): OperatorTunnels {
    const { commands, presence, log, metrics, db, publish } = this.control.parts;
    const audit = { record: async (entry: AuditEntry) => void this.refused.push(entry) };
    return new OperatorTunnels({
      leases: this.held.leases,
      tokens: this.tokens,
      commands,
      presence,
      labels: new AgentLabels({ db, clock: this.clock }),
      access: this.held.people.access,
      activity: new LeaseActivity({ audit, publish, log, refusals: { spend: () => true } }),
      clock: this.clock,
      log,
      metrics,
      heartbeatSeconds: 20,
      hasOwnPorts: false,
      random: () => 1,
    });
  }

  async #connect(lease: Lease, token: string, end: ConnectedEnd): Promise<ConnectedEnd> {
    const { agentId, tunnelId, protocol } = lease;
    const said = { agent_id: agentId, tunnel_id: tunnelId, token, protocol, instance: end.instance };
    const { socket } = await connectLeg(end.pair.b, said, this.clock);
    end.tunnel.attach(socket);
    return end;
  }

  #pair(): SocketPair {
    const pair = socketPair({ clock: this.clock });
    this.#pairs.push(pair);
    return pair;
  }
}

const DIALLER = { address: '192.0.2.7', authenticated: () => undefined };

/** For tests: a channel to the machine itself. */
export function openChannel({ tunnel }: ConnectedEnd, protocol: TunnelProtocol = 'tcp'): Promise<Channel> {
  return tunnel.open({ protocol, metadata: { port: 80 } });
}

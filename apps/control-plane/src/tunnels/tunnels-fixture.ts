import { randomUUID } from 'node:crypto';
import { Tunnel, firstMessage } from '@drawbridge/link';
import type { Channel, ChannelOffer } from '@drawbridge/link';
import {
  ErrorPayload,
  FrameFlag,
  FrameType,
  PROTOCOL_VERSION,
  decodeFrame,
  decodeJson,
  encodeFrame,
  encodeJson,
} from '@drawbridge/protocol';
import type { ConnectPayload } from '@drawbridge/protocol';
import { eventually, socketPair } from '@drawbridge/testkit';
import type { SocketPair } from '@drawbridge/testkit';
import { z } from 'zod';
import { AgentActivity } from '../agents/agent-activity.ts';
import type { AuditEntry } from '../audit/audit-entry.ts';
import { ControlPlaneFixture } from '../control-plane-fixture.ts';
import type { RecordedLink, Sent } from '../control-plane-fixture.ts';
import { ServerIdentity } from '../identity/server-identity.ts';
import { SystemTunnels } from './system-tunnels.ts';
import { TunnelTokens } from './tunnel-tokens.ts';

/** For tests: a tunnel that an agent was told to dial. */
export interface AskedTunnel {
  readonly agentId: string;
  readonly commandId: string;
  readonly tunnelId: string;
  readonly token: string;
}

/** For tests: a leg on which nothing was said yet. */
export interface RawLeg {
  readonly pair: SocketPair;
  /** Resolves once the control plane is done with the leg. */
  readonly served: Promise<void>;
  /** True once the control plane knows whose leg it is. */
  readonly isAuthenticated: () => boolean;
}

/** For tests: a leg that the control plane has accepted, and the agent's end of its tunnel. */
export interface Leg extends RawLeg {
  readonly tunnel: Tunnel;
}

/** For tests: a channel, and the new tunnel it is on. */
export interface OpenedTunnel {
  readonly channel: Channel;
  readonly leg: Leg;
  readonly tunnel: AskedTunnel;
}

/** For tests: how a leg was turned away. */
export interface RefusedLeg extends RawLeg {
  readonly refusal: ErrorPayload;
  readonly closed: { readonly code: number; readonly reason: string };
}

const never = new AbortController().signal;

const OpenCommand = z.object({
  operation: z.literal('tunnel.open'),
  params: z.object({ tunnel_id: z.string(), kind: z.literal('system'), token: z.string() }),
});

/** For tests: system tunnels over the real nouns, with the test as the agents that dial them. Disposing leaves nothing. */
export class TunnelsFixture implements AsyncDisposable {
  readonly control: ControlPlaneFixture;
  readonly tunnels: SystemTunnels;
  readonly tokens: TunnelTokens;
  /** What was recorded of agents, oldest first. */
  readonly recorded: AuditEntry[];
  readonly #pairs: SocketPair[] = [];

  private constructor(control: ControlPlaneFixture, tokens: TunnelTokens) {
    const { commands, presence, publish, metrics, log } = control.parts;
    const { clock } = control;
    this.control = control;
    this.tokens = tokens;
    this.recorded = [];
    const audit = { record: async (entry: AuditEntry) => void this.recorded.push(entry) };
    const activity = new AgentActivity({ audit, publish, log, refusals: { spend: () => true } });
    this.tunnels = new SystemTunnels({ commands, presence, tokens, clock, log, metrics, activity });
  }

  /** The fixture disposes `control` too, whoever made it. */
  static async make(control?: ControlPlaneFixture): Promise<TunnelsFixture> {
    const made = control ?? (await ControlPlaneFixture.make());
    const identity = await ServerIdentity.load(made.dir.join('identity.json'));
    return new TunnelsFixture(made, new TunnelTokens(identity, made.clock));
  }

  /** Somebody wants a channel to the agent. */
  want(agentId: string, protocol = 'task', signal = never): Promise<Channel> {
    const request = { protocol, metadata: { of: protocol } };
    const wanted = this.tunnels.channel(agentId, request, 'user:ann', signal);
    // A test looks at it later than it may reject.
    wanted.catch(() => undefined);
    return wanted;
  }

  /** The tunnel that the last of `count` commands on this link tells its agent to dial. */
  async asked(link: RecordedLink, count = 1): Promise<AskedTunnel> {
    const last = (await this.control.delivered(link, count)).at(-1);
    const asked = last === undefined ? undefined : askedBy(link.agentId, last);
    if (asked === undefined) throw new Error('no tunnel was asked for');
    return asked;
  }

  /** A channel on a new tunnel: the one that the last of `count` commands asks for. */
  async opened(link: RecordedLink, count = 1): Promise<OpenedTunnel> {
    const wanted = this.want(link.agentId);
    const asked = await this.asked(link, count);
    const leg = await this.dial(asked);
    return { channel: await wanted, leg, tunnel: asked };
  }

  /** A new leg, as the door hands it over. */
  leg({ agentId, tunnelId }: Pick<AskedTunnel, 'agentId' | 'tunnelId'>): RawLeg {
    const pair = socketPair({ clock: this.control.clock });
    this.#pairs.push(pair);
    let isAuthenticated = false;
    const served = this.tunnels.serve(agentId, tunnelId, pair.a, () => (isAuthenticated = true));
    return { pair, served, isAuthenticated: () => isAuthenticated };
  }

  /** The agent dials as it was told. */
  async dial(asked: AskedTunnel, accept: (offer: ChannelOffer) => void = (offer) => offer.accept()): Promise<Leg> {
    const leg = this.leg(asked);
    const first = firstMessage(leg.pair.b);
    leg.pair.b.send(connectFrame(asked));
    const answer = decodeFrame(bytesOf(await first.message));
    if ((answer.flags & FrameFlag.Err) !== 0)
      throw new Error(`refused: ${decodeJson(ErrorPayload, answer.payload).message}`);
    const tunnel = new Tunnel({ socket: first.rest, opens: 'even', clock: this.control.clock, accept });
    return { ...leg, tunnel };
  }

  /** Somebody dials, and says this first; it has to be refused. */
  async refused(leg: RawLeg, ...messages: (string | Uint8Array)[]): Promise<RefusedLeg> {
    const heard: (string | Uint8Array)[] = [];
    const ends: RefusedLeg['closed'][] = [];
    leg.pair.b.listen({ message: (message) => heard.push(message), closed: (end) => ends.push(end) });
    for (const message of messages) leg.pair.b.send(message);
    const closed = await eventually(() => ends[0], { what: 'the leg to be closed' });
    const { type, flags, payload } = decodeFrame(bytesOf(heard[0]));
    if (type !== FrameType.ConnectAck || flags !== FrameFlag.Err) throw new Error(`type ${type}, flags ${flags}`);
    return { ...leg, refusal: decodeJson(ErrorPayload, payload), closed };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pair of this.#pairs) pair.cut();
    await this.control[Symbol.asyncDispose]();
  }
}

/** For tests: what of a message tells the agent to dial, if it does. */
export function askedBy(agentId: string, { payload, id }: Sent): AskedTunnel | undefined {
  const command = OpenCommand.safeParse(payload);
  if (!command.success || id === undefined) return undefined;
  const { tunnel_id: tunnelId, token } = command.data.params;
  return { agentId, commandId: id, tunnelId, token };
}

/** For tests: the first frame of a leg; `other` is said instead of what is right. */
export function connectFrame(asked: AskedTunnel, other: Partial<ConnectPayload> = {}): Uint8Array {
  const payload = {
    agent_id: asked.agentId,
    tunnel_id: asked.tunnelId,
    token: asked.token,
    protocol: 'system',
    version: PROTOCOL_VERSION,
    instance: randomUUID(),
    ...other,
  };
  return encodeFrame({ type: FrameType.Connect, flags: 0, channelId: 0, payload: encodeJson(payload) });
}

function bytesOf(message: string | Uint8Array | undefined): Uint8Array {
  if (message === undefined || typeof message === 'string') throw new Error(`no frame: ${String(message)}`);
  return message;
}

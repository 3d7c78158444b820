import type { ChannelOffer, Clock } from '@drawbridge/link';
import { ControlError, LIMITS, TUNNEL_PROTOCOLS, TcpChannelMetadata, firstIssue, targetOf } from '@drawbridge/protocol';
import type { TunnelProtocol, TunnelTarget } from '@drawbridge/protocol';
import { splice, withDeadline } from '@drawbridge/runtime';
import type { Logger } from '@drawbridge/runtime';
import { errorPayload } from '../link/agent-link.ts';
import { AGENT_LIMITS } from '../limits.ts';
import { Slots } from '../tasks/slots.ts';
import type { ChannelServer } from './agent-tunnels.ts';
import { dialTarget, nameOf } from './dial-target.ts';
import type { Dialled } from './dial-target.ts';
import { endpoint } from './ip-address.ts';
import { NameLookup, systemResolver, unreachable } from './name-lookup.ts';
import type { Resolver } from './name-lookup.ts';
import { resolveTarget } from './resolve-target.ts';
import { printable } from './target-host.ts';
import type { TargetPolicy } from './target-policy.ts';

/** What channels that are dialled are made from. */
export interface TcpChannelsOptions {
  readonly policy: TargetPolicy;
  readonly clock: Clock;
  readonly log: Logger;
  readonly resolve?: Resolver;
}

/** The protocols whose channels the agent dials. */
type DialledProtocol = {
  [P in TunnelProtocol]: (typeof TUNNEL_PROTOCOLS)[P]['carries'] extends 'tcp' ? P : never;
}[TunnelProtocol];

/**
 * Serves the channels that are TCP, whatever their name: resolves the target once, asks the policy, dials what was checked, accepts
 * the channel once it is connected, with the address in its metadata, and carries bytes until both directions have ended.
 */
export function tcpChannels(options: TcpChannelsOptions): Record<DialledProtocol, ChannelServer> {
  const dialer = new Dialer(options);
  const server =
    (protocol: DialledProtocol): ChannelServer =>
    (offer, tunnelId) =>
      void dialer.serve(offer, protocol, tunnelId);
  return {
    tcp: server('tcp'),
    ssh: server('ssh'),
    winrm: server('winrm'),
    rdp: server('rdp'),
    vnc: server('vnc'),
    webrtc: server('webrtc'),
  };
}

class Dialer {
  readonly #options: TcpChannelsOptions;
  readonly #names: NameLookup;
  /** By tunnel: how many dials it has under way. The tunnel itself bounds who waits, and what is connected. */
  readonly #dials = new Map<string, Slots>();

  constructor(options: TcpChannelsOptions) {
    this.#options = options;
    this.#names = new NameLookup(options.resolve ?? systemResolver, options.clock);
  }

  /** Never rejects: whatever goes wrong is the answer to the offer. */
  async serve(offer: ChannelOffer, protocol: TunnelProtocol, tunnelId: string): Promise<void> {
    const facts = { tunnelId, channelId: offer.id, protocol };
    const { log } = this.#options;
    let dialled: Dialled;
    try {
      dialled = await this.#dial(targetIn(offer, protocol), tunnelId, offer.signal);
    } catch (error) {
      if (offer.signal.aborted) return;
      const { code, message } = errorPayload(error);
      if (code === 'forbidden') log.warn({ ...facts, reason: message }, 'target refused');
      if (!(error instanceof ControlError)) log.error({ ...facts, err: error }, 'target not dialled');
      return offer.refuse(code, message);
    }
    const { socket, address } = dialled;
    // Whoever gave up did so while the connection was being made.
    if (offer.signal.aborted) return void socket.destroy();
    log.debug({ ...facts, address: nameOf(address) }, 'target connected');
    const { end, ...bytes } = await splice(offer.accept({ ...address }), socket);
    log.debug({ ...facts, ...bytes, code: end.code, reason: end.reason }, 'target disconnected');
  }

  /** Everything within the limit of one dial, the waiting for a turn too. */
  async #dial(target: TunnelTarget, tunnelId: string, signal: AbortSignal): Promise<Dialled> {
    const { clock, policy } = this.#options;
    const timeoutMs = LIMITS.dialTimeoutMs;
    const untilMs = clock.monotonic() + timeoutMs;
    const onTimeout = () => unreachable(`${targetText(target)}: no answer within ${timeoutMs} ms`);
    const slots = this.#slotsOf(tunnelId);
    try {
      return await withDeadline({ clock, timeoutMs, onTimeout }, signal, async (limit) => {
        using _slot = await slots.acquire(limit);
        const addresses = await resolveTarget(target, { policy, names: this.#names }, limit);
        return await dialTarget(addresses, { clock, timeoutMs: untilMs - clock.monotonic() }, limit);
      });
    } finally {
      if (slots.taken === 0) this.#dials.delete(tunnelId);
    }
  }

  #slotsOf(tunnelId: string): Slots {
    let slots = this.#dials.get(tunnelId);
    if (slots === undefined) {
      slots = new Slots(AGENT_LIMITS.tunnelDialsMax, LIMITS.channelsPerTunnelMax);
      this.#dials.set(tunnelId, slots);
    }
    return slots;
  }
}

/** Throws ControlError `invalid_request` for metadata that leads nowhere. */
function targetIn(offer: ChannelOffer, protocol: TunnelProtocol): TunnelTarget {
  const parsed = TcpChannelMetadata.safeParse(offer.metadata);
  if (!parsed.success) throw new ControlError('invalid_request', firstIssue(parsed.error));
  const target = targetOf(protocol, parsed.data);
  if (target !== undefined) return target;
  const reason = parsed.data.unix === undefined ? 'it names no port' : 'it names both a host or port and a socket';
  throw new ControlError('invalid_request', `${protocol} channel: ${reason}`);
}

function targetText(target: TunnelTarget): string {
  return printable('unix' in target ? `unix:${target.unix}` : endpoint(target.host, target.port));
}

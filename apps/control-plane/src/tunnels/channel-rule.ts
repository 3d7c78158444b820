import { ControlError, TcpChannelMetadata, TUNNEL_PROTOCOLS, firstIssue, targetOf } from '@drawbridge/protocol';
import type { ChannelOpenPayload, TunnelTarget } from '@drawbridge/protocol';
import type { Lease } from './lease.ts';

/**
 * Why no channel of this tunnel may be opened like this; undefined when it may: only the operator opens any, of the tunnel's own
 * protocol, and to its target where the lease has one. Where the agent may dial is the agent's to say.
 */
export function channelRefusal(lease: Lease, open: ChannelOpenPayload): ControlError | undefined {
  if (open.protocol !== lease.protocol)
    return new ControlError(
      'forbidden',
      `this tunnel is for ${lease.protocol} channels, not ${open.protocol.slice(0, 32)}`,
    );
  if (TUNNEL_PROTOCOLS[lease.protocol].carries !== 'tcp') return undefined;
  const metadata = TcpChannelMetadata.safeParse(open.metadata);
  if (!metadata.success) return new ControlError('invalid_request', `channel metadata: ${firstIssue(metadata.error)}`);
  const target = targetOf(lease.protocol, metadata.data);
  if (target === undefined)
    return new ControlError('invalid_request', 'the channel names no port, or both an address and a unix socket');
  if (lease.target === null || isSame(lease.target, target)) return undefined;
  return new ControlError(
    'forbidden',
    `this tunnel leads to ${targetText(lease.target)} alone, not to ${targetText(target)}`,
  );
}

function isSame(a: TunnelTarget, b: TunnelTarget): boolean {
  return targetText(a) === targetText(b);
}

function targetText(target: TunnelTarget): string {
  return 'unix' in target ? `unix:${target.unix}` : `${target.host}:${target.port}`;
}

import { TUNNEL_PROTOCOLS, TunnelProtocol } from '@drawbridge/protocol';
import type { Verb } from '@drawbridge/protocol/api';

/** The right to a tunnel of this protocol: one that carries sessions is a terminal, whatever it is called. */
export function verbOfTunnel(protocol: string | null): Verb {
  const known = TunnelProtocol.safeParse(protocol);
  return known.success && TUNNEL_PROTOCOLS[known.data].carries === 'session' ? 'terminal.open' : 'tunnel.open';
}

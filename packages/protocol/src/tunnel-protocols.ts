import { z } from 'zod';

interface TunnelProtocolFacts {
  /** What concurrency is limited by. */
  readonly domain: string;
  /** `tcp`: the agent dials for each channel; `session`: it runs a shell. */
  readonly carries: 'tcp' | 'session';
  /** Dialled when nobody names a port; without it somebody must. */
  readonly defaultPort: number | undefined;
}

/** What a tunnel can be asked for (PROTOCOL.md §3.3). Its channels have this protocol, too. */
export const TUNNEL_PROTOCOLS = {
  tcp: { domain: 'tcp', carries: 'tcp', defaultPort: undefined },
  ssh: { domain: 'ssh', carries: 'tcp', defaultPort: 22 },
  winrm: { domain: 'winrm', carries: 'tcp', defaultPort: 5985 },
  rdp: { domain: 'rdp', carries: 'tcp', defaultPort: 3389 },
  vnc: { domain: 'vnc', carries: 'tcp', defaultPort: 5900 },
  // No port is WebRTC's own.
  webrtc: { domain: 'webrtc', carries: 'tcp', defaultPort: undefined },
  session: { domain: 'session', carries: 'session', defaultPort: undefined },
  ps: { domain: 'ps', carries: 'session', defaultPort: undefined },
} as const satisfies Record<string, TunnelProtocolFacts>;

export const TunnelProtocol = z.enum(Object.keys(TUNNEL_PROTOCOLS) as (keyof typeof TUNNEL_PROTOCOLS)[]);
export type TunnelProtocol = z.infer<typeof TunnelProtocol>;

/** Domains that share one limit of concurrent tunnels (S3-017). */
const LIMIT_GROUPS: Readonly<Record<string, string>> = {
  rdp: 'rdp_vnc_webrtc',
  vnc: 'rdp_vnc_webrtc',
  webrtc: 'rdp_vnc_webrtc',
};

/** The name under which a domain's limit stands in the configuration. */
export function limitGroupOf(domain: string): string {
  return LIMIT_GROUPS[domain] ?? domain;
}

/** Where a TCP channel leads: a host and port as the agent sees them, or the path of a unix socket of the agent's machine. */
export const TunnelTarget = z.union([
  z.strictObject({ host: z.string().min(1).max(253), port: z.int().min(1).max(65_535) }),
  z.strictObject({ unix: z.string().startsWith('/').max(104) }),
]);
export type TunnelTarget = z.infer<typeof TunnelTarget>;

/** The machine itself: where a channel leads that names no host. */
export const LOOPBACK_HOST = '127.0.0.1';

/**
 * The metadata of a channel that is dialled: `tcp` and the protocols that are TCP with a name. What is missing is the
 * lease's own target, or the protocol's default port on the machine itself.
 */
export const TcpChannelMetadata = z.object({
  host: z.string().min(1).max(253).optional(),
  port: z.int().min(1).max(65_535).optional(),
  unix: z.string().startsWith('/').max(104).optional(),
});
export type TcpChannelMetadata = z.infer<typeof TcpChannelMetadata>;

/** Where a channel of `protocol` leads; undefined when it says too little, or both an address and a socket, or is not dialled. */
export function targetOf(protocol: TunnelProtocol, metadata: TcpChannelMetadata): TunnelTarget | undefined {
  const { host, port, unix } = metadata;
  if (TUNNEL_PROTOCOLS[protocol].carries !== 'tcp') return undefined;
  if (unix !== undefined) return host === undefined && port === undefined ? { unix } : undefined;
  const dialled = port ?? TUNNEL_PROTOCOLS[protocol].defaultPort;
  return dialled === undefined ? undefined : { host: host ?? LOOPBACK_HOST, port: dialled };
}

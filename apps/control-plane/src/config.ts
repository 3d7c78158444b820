import { isIPv6 } from 'node:net';
import { HeartbeatSeconds, LIMITS } from '@drawbridge/protocol';
import {
  type Alias,
  type ConfigSources,
  Count,
  DomainLimits,
  LoggingConfig,
  Port,
  Seconds,
  SecretText,
  isLoopbackHost,
  loadConfig,
} from '@drawbridge/runtime';
import { z } from 'zod';

const Tls = z
  .strictObject({
    cert: z.string(),
    key: z.string(),
    /** Who signs client certificates. */
    ca: z.string().optional(),
    client_auth: z.enum(['off', 'request', 'require']).default('off'),
  })
  .refine(({ ca, client_auth }) => client_auth === 'off' || ca !== undefined, {
    path: ['ca'],
    error: 'client_auth needs it',
  });

const Listen = z
  .strictObject({
    host: z.string().min(1).default('127.0.0.1'),
    port: Port.default(7400),
    tls: Tls.optional(),
    /** How agents and people reach this server, when it is not by `host` and `port`. */
    public_url: z.url({ protocol: /^https?$/, error: 'expected an http or https URL' }).optional(),
    /** Names this server answers to; empty: those of `host` and `public_url` (edge/host-policy.ts). */
    allowed_hosts: z
      .array(z.string().refine(isHostName, 'expected the name of a host or an address, without a port'))
      .default([]),
    /** Addresses or networks of the proxies whose X-Forwarded headers are believed. */
    trusted_proxies: z.array(z.string()).default([]),
  })
  .refine(({ host, tls, trusted_proxies }) => isLoopbackHost(host) || tls !== undefined || trusted_proxies.length > 0, {
    path: ['host'],
    error: 'is not loopback: set listen.tls, or listen.trusted_proxies when a proxy in front does TLS',
  });

const Agents = z
  .strictObject({
    heartbeat_interval: HeartbeatSeconds.default(LIMITS.heartbeatIntervalMs / 1000),
    command_timeout: Seconds.default(LIMITS.commandTimeoutSecondsDefault),
    websocket_timeout: Seconds.default(LIMITS.livenessTimeoutMs / 1000),
    max_agents_per_host: Count.default(100),
    enable_agent_mode: z.boolean().default(true),
    /** How long it is remembered how each agent fared; 0: not at all. */
    health_retention_hours: z
      .number()
      .min(0)
      .max(24 * 366)
      .default(48),
    /** Addresses or networks; empty: agents may come from anywhere. */
    ip_allowlist: z.array(z.string()).default([]),
  })
  .refine(({ heartbeat_interval, websocket_timeout }) => heartbeat_interval < websocket_timeout, {
    path: ['websocket_timeout'],
    error: 'must be longer than heartbeat_interval',
  });

const PortRange = z
  .string()
  .refine((text) => parsePortRange(text) !== undefined, 'expected a range of ports: first-last');

const Tunnels = z.strictObject({
  listener: z.enum(['shared', 'leased']).default('shared'),
  /** See `parsePortRange`. */
  port_range: PortRange.default('30000-40000'),
  idle_timeout: Seconds.default(3600),
  grace_timeout: Seconds.default(3600),
  heartbeat_interval: Seconds.default(LIMITS.heartbeatIntervalMs / 1000),
  enable_compression: z.literal(false, 'compression is not offered').default(false),
  domains: DomainLimits.prefault({}),
});

const Oidc = z.strictObject({
  issuer: z.url({ protocol: /^https?$/, error: 'expected an http or https URL' }),
  client_id: z.string().min(1),
  client_secret: SecretText.optional(),
  scopes: z.array(z.string()).default(['openid', 'profile', 'email']),
  /** The claim that names a user's roles. */
  role_claim: z.string().min(1).default('roles'),
});

const Auth = z
  .strictObject({
    /** Users with a password of this server's own. */
    local: z.boolean().default(true),
    oidc: Oidc.optional(),
    session_ttl: Seconds.default(43_200),
  })
  .refine(({ local, oidc }) => local || oidc !== undefined, {
    path: ['local'],
    error: 'false leaves no way to sign in',
  });

/** drawbridge.yaml. Durations are in seconds. */
export const ServerConfig = z
  .strictObject({
    listen: Listen.prefault({}),
    store: z
      .strictObject({
        /** A relative path is under the data directory. */
        url: z
          .string()
          .regex(/^(sqlite:.+|postgres(ql)?:\/\/.+)$/, 'expected sqlite:… or postgres://…')
          .default('sqlite:drawbridge.db'),
        /** Connections to PostgreSQL, besides the one that holds its lock. */
        connections_max: Count.default(10),
      })
      .prefault({}),
    bus: z
      .strictObject({
        url: z
          .string()
          .regex(/^(memory:|(nats|tls):\/\/.+)$/, 'expected memory: or nats://…')
          .default('memory:'),
      })
      .prefault({}),
    agents: Agents.prefault({}),
    tunnels: Tunnels.prefault({}),
    auth: Auth.prefault({}),
    limits: z
      .strictObject({
        /** Attempts to sign in, to enrol or to connect, of one address. */
        auth_attempts_per_minute: Count.default(30),
        /** Requests of one user or token. */
        requests_per_minute: Count.default(1200),
        /** Sockets of one address that have not authenticated yet. */
        unauthenticated_per_address: Count.default(20),
        /** Connections of this process, agents' among them. */
        connections: Count.default(50_000),
        /** Connections of one address, idle ones too; agents and tunnels do not count. */
        connections_per_address: Count.default(1_000),
        /** Commands of one agent: steadily, and at once. */
        commands_per_second: Count.default(100),
        commands_burst: Count.default(1000),
        commands_per_agent: Count.max(LIMITS.commandsPerAgentMax).default(LIMITS.commandsPerAgentMax),
      })
      .prefault({}),
    metrics: z
      .strictObject({
        /** A listener for `/metrics` alone; then it is not found on the main one. */
        listen: z.strictObject({ host: z.string().min(1).default('127.0.0.1'), port: Port }).optional(),
        /** A bearer token that reads the numbers and nothing else. */
        token: SecretText.optional(),
      })
      .refine(({ listen, token }) => listen === undefined || isLoopbackHost(listen.host) || token !== undefined, {
        path: ['token'],
        error: 'is needed: metrics.listen is not loopback',
      })
      .prefault({}),
    /** Traces of the API and of commands; without it the libraries are not even loaded. */
    tracing: z
      .strictObject({
        /** A collector's OTLP over HTTP. */
        url: z
          .url({ protocol: /^https?$/, error: 'expected an http or https URL, as https://collector/v1/traces' })
          .refine((text) => !/^\w+:\/\/[^/]*@/.test(text), 'holds credentials: set OTEL_EXPORTER_OTLP_HEADERS instead'),
        sample: z.number().min(0).max(1).default(0.1),
      })
      .optional(),
    audit: z.strictObject({ retention_days: Count.default(365) }).prefault({}),
    logging: LoggingConfig.prefault({}),
    drain_timeout: Seconds.default(30),
  })
  .refine(
    ({ listen, tunnels }) => tunnels.listener === 'shared' || listen.tls !== undefined || isLoopbackHost(listen.host),
    {
      path: ['tunnels', 'listener'],
      error: 'leased needs listen.tls: a proxy in front does not do TLS on those ports',
    },
  );
export type ServerConfig = z.output<typeof ServerConfig>;

/** S2's keys (S2-133..137) and S3's (S3-150..152), and where they are here. */
const ALIASES: readonly Alias[] = [
  { from: ['websocket_timeout'], to: ['agents', 'websocket_timeout'] },
  { from: ['heartbeat_interval'], to: ['agents', 'heartbeat_interval'] },
  { from: ['max_agents_per_host'], to: ['agents', 'max_agents_per_host'] },
  { from: ['command_timeout'], to: ['agents', 'command_timeout'] },
  { from: ['enable_agent_mode'], to: ['agents', 'enable_agent_mode'] },
  { from: ['tunnels', 'idle_timeout_seconds'], to: ['tunnels', 'idle_timeout'] },
  { from: ['tunnels', 'grace_timeout_seconds'], to: ['tunnels', 'grace_timeout'] },
  { from: ['tunnels', 'heartbeat_interval_seconds'], to: ['tunnels', 'heartbeat_interval'] },
];

/** The control plane's configuration. Throws one ControlError that lists all that is wrong with it. */
export function loadServerConfig(sources: Pick<ConfigSources, 'file' | 'env' | 'overrides'>): ServerConfig {
  return loadConfig(ServerConfig, { ...sources, aliases: ALIASES });
}

/** The first and the last port of `first-last`; undefined when it is no range of ports. */
export function parsePortRange(text: string): { readonly first: number; readonly last: number } | undefined {
  const [, first = 0, last = 0] = (/^(\d{1,5})-(\d{1,5})$/.exec(text) ?? []).map(Number);
  return first > 0 && first <= last && last <= 65_535 ? { first, last } : undefined;
}

function isHostName(text: string): boolean {
  return isIPv6(text) || /^[A-Za-z0-9._-]{1,253}$/.test(text);
}

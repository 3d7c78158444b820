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
import { basename, join } from 'node:path';
import { z } from 'zod';
import { AGENT_LIMITS } from './limits.ts';
import { whyNoTargetRule } from './tunnels/target-rule.ts';

/** The driver of a provider: how a task is handed to its program. `command` is any program that takes instructions. */
const PROVIDER_KINDS = ['shell', 'command', 'acp', 'claude', 'codex'] as const;
export type ProviderKind = (typeof PROVIDER_KINDS)[number];

const Server = z
  .strictObject({
    /** The control plane's base address. Missing, the identity of the enrolment has it. */
    url: z.string().optional(),
    proxy: z.string().optional(),
    no_proxy: z.string().optional(),
    verify_ssl: z.boolean().default(true),
    allow_plaintext: z.boolean().default(false),
    ca: z.string().optional(),
    pin: z
      .string()
      .regex(/^sha256\/[A-Za-z0-9+/]{43}=$/, 'expected sha256/ and 44 characters of base64')
      .optional(),
    client_cert: z.string().optional(),
    client_key: z.string().optional(),
    server_key: z.string().optional(),
  })
  .superRefine((server, context) => {
    const refuse = (key: keyof typeof server, message: string) =>
      context.addIssue({ code: 'custom', path: [key], message });
    if (server.url !== undefined) {
      const reason = whyNotDialled(server.url, server.allow_plaintext);
      if (reason !== undefined) refuse('url', reason);
    }
    if (server.client_cert !== undefined && server.client_key === undefined)
      refuse('client_key', 'client_cert needs it');
    if (server.client_key !== undefined && server.client_cert === undefined)
      refuse('client_cert', 'client_key needs it');
    if (!server.verify_ssl && server.ca !== undefined) refuse('ca', 'means nothing with verify_ssl: false');
  });

const Reconnection = z
  .strictObject({
    enabled: z.boolean().default(true),
    /** -1: for ever. */
    max_attempts: z.int().min(-1).default(-1),
    base_delay: Seconds.default(1),
    max_delay: Seconds.default(60),
    factor: z.number().min(1).default(2),
    preset: z.enum(['full_jitter', 's2', 's0']).default('full_jitter'),
  })
  .refine(({ base_delay, max_delay }) => base_delay <= max_delay, {
    path: ['max_delay'],
    error: 'is less than base_delay',
  });

const Tasks = z.strictObject({
  /** Missing, it is under the data directory. See `tasksDirOf`. */
  workspace_root: z.string().min(1).optional(),
  concurrency: Count.default(AGENT_LIMITS.taskConcurrencyDefault),
  retention_days: z.number().min(0).default(AGENT_LIMITS.retentionDaysDefault),
  /** Of all finished tasks together; missing, only their age counts. */
  max_bytes: Count.optional(),
  kill_grace: z
    .number()
    .min(0)
    .default(AGENT_LIMITS.killGraceMsDefault / 1000),
  isolation: z.enum(['auto', 'required', 'off']).default('auto'),
  /** Names of the agent's own variables that every task may see. */
  env: z.array(z.string()).default([]),
});

const Provider = z.strictObject({
  kind: z.enum(PROVIDER_KINDS).optional(),
  binary: z.string().min(1).optional(),
  args: z.array(z.string()).default([]),
  actions: z.array(z.string()).default(['execute_task', 'update_config', 'stream_chunk']),
  env: z.array(z.string()).default([]),
});

/** Without a kind the name decides; a CLI in print mode (S0-126) is a plain command whatever its name. */
function withKind(name: string, provider: z.output<typeof Provider>) {
  const { kind: given, binary, ...others } = provider;
  const named = PROVIDER_KINDS.find((kind) => kind === name && !provider.args.includes('--print'));
  const kind: ProviderKind = given ?? named ?? 'command';
  return { kind, binary: binary ?? (kind === 'shell' ? undefined : name), ...others };
}

const Security = z.strictObject({
  enforce_task_isolation: z.boolean().default(true),
  restrict_subprocess_cwd: z.boolean().default(true),
  audit_file_access: z.boolean().default(true),
  operations: z
    .strictObject({ allow: z.array(z.string()).default(['*']), deny: z.array(z.string()).default([]) })
    .prefault({}),
});

/** An entry of the target policy; it is kept as it was written. */
const TargetEntry = z.string().superRefine((text, context) => {
  const message = whyNoTargetRule(text);
  if (message !== undefined) context.addIssue({ code: 'custom', message });
});

/** agent.yaml. Durations are in seconds. */
export const AgentConfig = z
  .strictObject({
    server: Server.prefault({}),
    agent: z
      .strictObject({
        id: z.string().min(1).optional(),
        auth_token: SecretText.optional(),
        name: z.string().min(1).optional(),
        labels: z.record(z.string(), z.string()).default({}),
      })
      .prefault({}),
    heartbeat: z
      .strictObject({
        interval: HeartbeatSeconds.default(LIMITS.heartbeatIntervalMs / 1000),
      })
      .prefault({}),
    reconnection: Reconnection.prefault({}),
    queue: z.strictObject({ max_size: Count.default(LIMITS.telemetryItemsMax) }).prefault({}),
    tasks: Tasks.prefault({}),
    providers: z
      .record(z.string(), Provider)
      .default({ shell: Provider.parse({ kind: 'shell' }) })
      .transform((all) =>
        Object.fromEntries(Object.entries(all).map(([name, provider]) => [name, withKind(name, provider)])),
      ),
    docker: z
      .strictObject({
        socket: z.string().default('unix:///var/run/docker.sock'),
        timeout: Seconds.default(300),
        policy: z.string().optional(),
        namespace: z.strictObject({ label: z.string().min(1).optional() }).prefault({}),
      })
      .prefault({}),
    sessions: z
      .strictObject({
        shell: z.string().min(1).default('auto'),
        ring_bytes: Count.default(1_048_576),
        ttl: Seconds.default(86_400),
        max: Count.default(64),
        max_per_user: Count.default(32),
        record: z.boolean().default(false),
      })
      .prefault({}),
    tunnels: z
      .strictObject({
        allow: z.array(TargetEntry).default(['127.0.0.1:*']),
        deny: z.array(TargetEntry).default(['169.254.0.0/16']),
        domains: DomainLimits.prefault({}),
      })
      .prefault({}),
    execd: z.strictObject({ ports: z.array(Port).default([44_772, 8080]) }).prefault({}),
    security: Security.prefault({}),
    logging: LoggingConfig.prefault({}),
    drain_timeout: Seconds.default(30),
  })
  .refine(({ security, tasks }) => security.enforce_task_isolation || tasks.isolation !== 'required', {
    path: ['tasks', 'isolation'],
    error: 'cannot be required with security.enforce_task_isolation: false',
  });
export type AgentConfig = z.output<typeof AgentConfig>;

/** The names S0 gave to settings (S0-015..019, S0-118..131), and where they are here. S2's are ours. */
const ALIASES: readonly Alias[] = [
  { from: ['endpoint'], to: ['server', 'url'] },
  { from: ['apiKey'], to: ['agent', 'auth_token'] },
  { from: ['deviceId'], to: ['agent', 'id'] },
  { from: ['heartbeatIntervalMs'], to: ['heartbeat', 'interval'], convert: toSeconds },
  { from: ['maxQueueSize'], to: ['queue', 'max_size'] },
  { from: ['workspaceRoot'], to: ['tasks', 'workspace_root'] },
  { from: ['logLevel'], to: ['logging', 'level'] },
  { from: ['security', 'enforceTaskIsolation'], to: ['security', 'enforce_task_isolation'] },
  { from: ['security', 'restrictSubprocessCwd'], to: ['security', 'restrict_subprocess_cwd'] },
  { from: ['security', 'auditFileAccess'], to: ['security', 'audit_file_access'] },
];

const ENV_NAMES = { RELAY_API_KEY: ['agent', 'auth_token'], DEVICE_ID: ['agent', 'id'] } as const;

/** The agent's configuration. Throws one ControlError that lists all that is wrong with it. */
export function loadAgentConfig(sources: Pick<ConfigSources, 'file' | 'env' | 'overrides'>): AgentConfig {
  return loadConfig(AgentConfig, { ...sources, aliases: ALIASES, envNames: ENV_NAMES });
}

/** The directory that has one directory per task: `tasks` in the workspace, or the workspace if that is its name (S0-124). */
export function tasksDirOf(workspaceRoot: string): string {
  return basename(workspaceRoot) === 'tasks' ? workspaceRoot : join(workspaceRoot, 'tasks');
}

function toSeconds(milliseconds: unknown): unknown {
  return typeof milliseconds === 'number' ? milliseconds / 1000 : milliseconds;
}

/** What is wrong with a control plane's address; undefined when nothing is. The address itself is not repeated. */
function whyNotDialled(text: string, allowPlaintext: boolean): string | undefined {
  const url = URL.parse(text);
  if (url === null || !/^(wss?|https?):$/.test(url.protocol)) return 'expected a URL with wss, ws, https or http';
  if (url.username !== '' || url.password !== '') return 'credentials do not belong in the address';
  if (url.search !== '' || url.hash !== '') return 'an address has neither query nor fragment';
  const isPlain = url.protocol === 'ws:' || url.protocol === 'http:';
  if (!isPlain || allowPlaintext || isLoopbackHost(url.hostname)) return undefined;
  return `${url.protocol}// is not encrypted: use wss or https, or set server.allow_plaintext`;
}

import { writeFile } from 'node:fs/promises';

/** All the load comes from a few addresses and one token: the bounds that stop one client are out of its way. */
const BOUNDS = {
  agents: { max_agents_per_host: 100_000 },
  limits: {
    auth_attempts_per_minute: 100_000,
    requests_per_minute: 1_000_000_000,
    unauthenticated_per_address: 100,
    connections_per_address: 100_000,
    commands_per_second: 100_000,
    commands_burst: 100_000,
  },
} as const;

/** What differs between benches. */
export interface ServerConfigOptions {
  readonly heartbeatSeconds?: number;
  /** How long a link may be silent. */
  readonly silenceSeconds?: number;
  /** `store.url`; the default store without it. */
  readonly storeUrl?: string;
}

/** Writes a drawbridge.yaml for a control plane under load. It logs warnings only: the harness is no log collector. */
export async function writeServerConfig(path: string, options: ServerConfigOptions = {}): Promise<void> {
  const { heartbeatSeconds, silenceSeconds, storeUrl } = options;
  const agents = {
    ...BOUNDS.agents,
    ...(heartbeatSeconds === undefined ? {} : { heartbeat_interval: heartbeatSeconds }),
    ...(silenceSeconds === undefined ? {} : { websocket_timeout: silenceSeconds }),
  };
  const store = storeUrl === undefined ? {} : { store: { url: storeUrl } };
  // JSON is YAML.
  await writeFile(path, JSON.stringify({ ...BOUNDS, ...store, agents, logging: { level: 'warn' } }));
}

import { writeFile } from 'node:fs/promises';

/** All the load comes from a few addresses and one token: the bounds that stop one client are out of its way. */
const BOUNDS = {
  agents: { max_agents_per_host: 100_000 },
  limits: { auth_attempts_per_minute: 100_000, requests_per_minute: 1_000_000, unauthenticated_per_address: 100 },
} as const;

/** Writes a drawbridge.yaml for a control plane under load. It logs warnings only: the harness is no log collector. */
export async function writeServerConfig(path: string, heartbeatSeconds?: number): Promise<void> {
  const agents = {
    ...BOUNDS.agents,
    ...(heartbeatSeconds === undefined ? {} : { heartbeat_interval: heartbeatSeconds }),
  };
  // JSON is YAML.
  await writeFile(path, JSON.stringify({ ...BOUNDS, agents, logging: { level: 'warn' } }));
}

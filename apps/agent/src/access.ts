import { join } from 'node:path';
import { z } from 'zod';
import { ControlError } from '@drawbridge/protocol';
import { readTlsFiles } from '@drawbridge/runtime';
import type { TlsFiles } from '@drawbridge/runtime';
import type { AgentConfig } from './config.ts';
import { DeviceKey, readIdentity } from './identity/identity.ts';
import type { IdentityFile } from './identity/identity.ts';
import { readMachineId } from './identity/machine-id.ts';
import type { Credential } from './link/credential.ts';
import type { ServerAccess } from './link/dial-link.ts';

/** Where the enrolled identity lies in the data directory. */
export function identityPath(dataDir: string): string {
  return join(dataDir, 'identity.json');
}

/** How to reach the control plane: the enrolled identity, with what agent.yaml says over it. */
export async function serverAccess(config: AgentConfig, dataDir: string): Promise<ServerAccess> {
  const identity = await readIdentity(identityPath(dataDir));
  const { server, agent } = config;
  const url = server.url ?? identity?.server_url;
  if (url === undefined) throw notEnrolled(dataDir);
  const agentId = agent.id ?? identity?.agent_id;
  if (!z.uuid().safeParse(agentId).success || agentId === undefined) throw notEnrolled(dataDir);
  const tlsFiles: TlsFiles = {
    ca: server.ca ?? identity?.ca,
    pin: server.pin ?? identity?.pin,
    cert: server.client_cert,
    key: server.client_key,
    verify: server.verify_ssl,
  };
  // What is missing now is a mistake; what is missing at a later dial is being replaced, and that dial is made again.
  readTlsFiles(tlsFiles);
  return {
    url,
    agentId,
    credential: credentialOf(config, identity, dataDir),
    serverKey: server.server_key ?? identity?.server_key,
    get tls() {
      return readTlsFiles(tlsFiles);
    },
    proxy: server.proxy,
    noProxy: server.no_proxy,
    machineId: await readMachineId(),
  };
}

function credentialOf({ agent }: AgentConfig, identity: IdentityFile | undefined, dataDir: string): Credential {
  const { auth_token: apiKey } = agent;
  if (apiKey !== undefined) return { kind: 'api-key', reveal: () => apiKey.reveal() };
  if (identity === undefined) throw notEnrolled(dataDir);
  return { kind: 'device-key', key: DeviceKey.parse(identity.private_key) };
}

function notEnrolled(dataDir: string): ControlError {
  return new ControlError(
    'invalid_request',
    `${dataDir} holds no identity: run "drawbridge agent enroll URL --token T", or set server.url, agent.id and agent.auth_token`,
  );
}

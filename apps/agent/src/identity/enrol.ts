import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { ControlError, LIMITS, PublicKeyText, enrolStatement, identityStatement } from '@drawbridge/protocol';
import type { Labels } from '@drawbridge/protocol';
import { fetchJson } from '@drawbridge/runtime';
import type { TlsIdentity } from '@drawbridge/runtime';
import { DeviceKey } from './identity.ts';
import type { IdentityFile } from './identity.ts';
import { machineIdFor } from './machine-id.ts';
import { fingerprintOf, isSignedBy } from './verify-server.ts';

/** Whom to enrol with, and as whom. */
export interface EnrolOptions {
  readonly url: string;
  readonly token: string;
  readonly name: string;
  readonly labels: Labels;
  /** This machine's own id, of which the control plane gets a hash. */
  readonly machineId?: string | undefined;
  readonly tls: TlsIdentity;
  readonly proxy?: string | undefined;
}

const ServerIdentity = z.object({ server_id: z.uuid(), public_key: PublicKeyText, signature: z.string() });
const Enrolled = z.object({ agent_id: z.uuid(), name: z.string() });
const Refusal = z.object({ code: z.string(), message: z.string() });

/**
 * Exchanges a join token for an identity. The control plane first proves that it holds the key the token names; only then is
 * the token shown to it. Throws ControlError: `server_key_mismatch` for anybody else, or what the control plane says.
 */
export async function enrol(options: EnrolOptions, signal: AbortSignal): Promise<IdentityFile> {
  const [tokenId, , fingerprint] = options.token.split('.');
  if (tokenId === undefined || fingerprint === undefined || !options.token.startsWith('dbj_')) {
    throw new ControlError('join_token_invalid', 'a join token is dbj_<id>.<secret>.<key>');
  }
  const server = await proveServer(options, fingerprint, signal);
  const deviceKey = DeviceKey.generate();
  const answer = await request(
    options,
    '/api/v1/enroll',
    {
      token: options.token,
      public_key: deviceKey.publicKey,
      proof: deviceKey.sign(enrolStatement(tokenId, deviceKey.publicKey)),
      name: options.name,
      labels: options.labels,
      ...(options.machineId === undefined ? {} : { machine_id: machineIdFor(server.server_id, options.machineId) }),
    },
    signal,
  );
  const { agent_id: agentId, name } = parse(Enrolled, answer);
  return {
    agent_id: agentId,
    name,
    server_url: options.url,
    server_id: server.server_id,
    server_key: server.public_key,
    private_key: deviceKey.toPem(),
    ...(options.tls.ca === undefined ? {} : { ca: options.tls.ca }),
    ...(options.tls.pin === undefined ? {} : { pin: options.tls.pin }),
  };
}

async function proveServer(options: EnrolOptions, fingerprint: string, signal: AbortSignal) {
  const nonce = randomBytes(32).toString('base64url');
  const answer = await request(options, `/api/v1/identity?nonce=${nonce}`, undefined, signal);
  const server = parse(ServerIdentity, answer);
  const isOurs = fingerprintOf(server.public_key) === fingerprint;
  if (isOurs && isSignedBy(server.public_key, identityStatement(server.server_id, nonce), server.signature))
    return server;
  throw new ControlError(
    'server_key_mismatch',
    `${options.url} does not hold the key that the join token names: the token was not sent`,
  );
}

async function request(options: EnrolOptions, path: string, body: unknown, signal: AbortSignal): Promise<unknown> {
  const answer = await fetchJson(
    {
      url: new URL(path, options.url).href,
      tls: options.tls,
      proxy: options.proxy,
      timeoutMs: LIMITS.dialTimeoutMs,
      ...(body === undefined ? {} : { body }),
    },
    signal,
  );
  if (answer.status < 300) return answer.body;
  const refusal = Refusal.safeParse(answer.body);
  const said = refusal.success ? `${refusal.data.message} (${refusal.data.code})` : `HTTP ${answer.status}`;
  throw new ControlError('auth_failed', `${options.url}: ${said}`);
}

function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new ControlError('server_key_mismatch', 'the answer is not one of a control plane');
}

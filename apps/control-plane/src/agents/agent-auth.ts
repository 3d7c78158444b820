import { createHash, createPublicKey } from 'node:crypto';
import { errors, jwtVerify } from 'jose';
import { ControlError } from '@drawbridge/protocol';
import type { AgentRow } from '../store/agents-repository.ts';
import { secretHash } from '../operators/secrets.ts';
import { secretsEqual } from '@drawbridge/runtime';

/** What a credential is checked against. Freshness is the nonce alone: a machine with a wrong clock gets in (PROTOCOL.md §2.1). */
export interface Challenge {
  readonly serverId: string;
  readonly nonce: string;
  readonly nowMs: number;
}

/** Throws ControlError `auth_failed` unless `token` is the agent's own: a JWT by its device key, or its API key. */
export async function verifyAgentToken(agent: AgentRow, token: string, challenge: Challenge): Promise<void> {
  if (agent.public_key === null) {
    requireApiKey(agent, token, challenge.nowMs);
    return;
  }
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: agent.public_key }, format: 'jwk' });
  try {
    const { payload } = await jwtVerify(token, key, {
      algorithms: ['EdDSA', 'Ed25519'],
      issuer: agent.agent_id,
      subject: agent.agent_id,
      audience: challenge.serverId,
      requiredClaims: ['nonce'],
      // No time claim is looked at: the machine's clock may be hours off.
      currentDate: new Date(0),
      clockTolerance: Number.MAX_SAFE_INTEGER,
    });
    if (payload['nonce'] === challenge.nonce) return;
  } catch (error) {
    if (!(error instanceof errors.JOSEError)) throw error;
  }
  throw new ControlError('auth_failed', `the device key's signature of agent ${agent.agent_id} does not hold`);
}

/**
 * Checks a bearer credential of the handshake, before the socket is accepted: only an API key can be shown there. Throws
 * ControlError `auth_failed`.
 */
export function verifyBearer(agent: AgentRow, authorization: string, nowMs: number): void {
  const [scheme = '', token = ''] = authorization.split(' ');
  if (scheme.toLowerCase() === 'bearer' && agent.public_key === null) requireApiKey(agent, token, nowMs);
  else throw new ControlError('auth_failed', 'an agent with a device key proves it in `auth`, not with a bearer token');
}

function requireApiKey(agent: AgentRow, token: string, nowMs: number): void {
  const expired = agent.auth_token_expires_at !== null && Date.parse(agent.auth_token_expires_at) <= nowMs;
  if (!expired && token.startsWith('dbk_') && secretsEqual(secretHash(token), agent.auth_token_hash)) return;
  throw new ControlError('auth_failed', `the API key of agent ${agent.agent_id} is wrong or expired`);
}

/** What is stored of a public key: SHA-256 of its 32 bytes, hex. */
export function publicKeyHash(publicKey: string): string {
  return createHash('sha256').update(Buffer.from(publicKey, 'base64url')).digest('hex');
}

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { SignJWT } from 'jose';
import { expect, it } from 'vitest';
import { secretHash } from '../operators/secrets.ts';
import type { AgentRow } from '../store/agents-repository.ts';
import { publicKeyHash, verifyAgentToken } from './agent-auth.ts';
import { newAgentRow } from './new-agent-row.ts';

const CHALLENGE = { serverId: randomUUID(), nonce: 'the nonce of this attempt', nowMs: Date.UTC(2026, 0, 7) };
const KEYS = generateKeyPairSync('ed25519');
const PUBLIC_KEY = KEYS.publicKey.export({ format: 'jwk' }).x ?? '';
const API_KEY = `dbk_${'k'.repeat(43)}`;

function agent(more: Partial<AgentRow>): AgentRow {
  const row = newAgentRow({ agentId: randomUUID(), name: 'a', labels: {}, now: '2026-01-07T00:00:00.000Z' });
  return { ...row, epoch: 0, auth_token_hash: '', ...more };
}

const withDeviceKey = agent({ public_key: PUBLIC_KEY, auth_token_hash: publicKeyHash(PUBLIC_KEY) });
const withApiKey = agent({ auth_token_hash: secretHash(API_KEY), auth_token_expires_at: '2026-01-07T00:00:01.000Z' });

interface Claims {
  readonly issuer?: string;
  readonly subject?: string;
  readonly audience?: string;
  readonly nonce?: string | undefined;
  readonly key?: KeyObject;
  readonly expiresAt?: number;
}

function jwt(claims: Claims = {}): Promise<string> {
  const nonce = 'nonce' in claims ? claims.nonce : CHALLENGE.nonce;
  const token = new SignJWT(nonce === undefined ? {} : { nonce })
    .setProtectedHeader({ alg: 'EdDSA' })
    .setIssuer(claims.issuer ?? withDeviceKey.agent_id)
    .setSubject(claims.subject ?? withDeviceKey.agent_id)
    .setAudience(claims.audience ?? CHALLENGE.serverId);
  if (claims.expiresAt !== undefined) token.setExpirationTime(claims.expiresAt);
  return token.sign(claims.key ?? KEYS.privateKey);
}

it('lets the device key in that answers the nonce', async () => {
  await expect(verifyAgentToken(withDeviceKey, await jwt(), CHALLENGE)).resolves.toBeUndefined();
});

it('lets a machine in whose clock is years off', async () => {
  const token = await jwt({ expiresAt: 1_000 });
  await expect(verifyAgentToken(withDeviceKey, token, CHALLENGE)).resolves.toBeUndefined();
});

it.each<[string, Claims]>([
  ['another nonce', { nonce: 'that of another attempt' }],
  ['no nonce', { nonce: undefined }],
  ['another issuer', { issuer: randomUUID() }],
  ['another subject', { subject: randomUUID() }],
  ['another control plane', { audience: randomUUID() }],
  ['another key', { key: generateKeyPairSync('ed25519').privateKey }],
])('refuses %s', async (_name, claims) => {
  const token = await jwt(claims);
  await expect(verifyAgentToken(withDeviceKey, token, CHALLENGE)).rejects.toMatchObject({ code: 'auth_failed' });
});

it('refuses a token that nobody signed', async () => {
  const claims = { iss: withDeviceKey.agent_id, sub: withDeviceKey.agent_id, aud: CHALLENGE.serverId };
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const unsigned = `${part({ alg: 'none' })}.${part({ ...claims, nonce: CHALLENGE.nonce })}.`;
  await expect(verifyAgentToken(withDeviceKey, unsigned, CHALLENGE)).rejects.toMatchObject({ code: 'auth_failed' });
  await expect(verifyAgentToken(withDeviceKey, 'garbage', CHALLENGE)).rejects.toMatchObject({ code: 'auth_failed' });
});

it('lets an API key in until it expires, and no other', async () => {
  await expect(verifyAgentToken(withApiKey, API_KEY, CHALLENGE)).resolves.toBeUndefined();
  const refused = expect.objectContaining({ code: 'auth_failed' });
  await expect(verifyAgentToken(withApiKey, `${API_KEY}x`, CHALLENGE)).rejects.toEqual(refused);
  const later = { ...CHALLENGE, nowMs: CHALLENGE.nowMs + 1_000 };
  await expect(verifyAgentToken(withApiKey, API_KEY, later)).rejects.toEqual(refused);
});

it('takes no API key of an agent that holds a device key', async () => {
  const both = agent({ public_key: PUBLIC_KEY, auth_token_hash: secretHash(API_KEY) });
  await expect(verifyAgentToken(both, API_KEY, CHALLENGE)).rejects.toMatchObject({ code: 'auth_failed' });
});

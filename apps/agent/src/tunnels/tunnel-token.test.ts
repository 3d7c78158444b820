import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import { expect, it } from 'vitest';
import { DeviceKey } from '../identity/identity.ts';
import { verifyTunnelToken } from './tunnel-token.ts';

const SERVER = new DeviceKey(generateKeyPairSync('ed25519').privateKey);
const NOW_MS = Date.UTC(2026, 0, 7);
const BINDING = { agentId: randomUUID(), tunnelId: randomUUID(), serverKey: SERVER.publicKey, serverNowMs: NOW_MS };

interface Change {
  readonly claims?: Record<string, unknown>;
  readonly subject?: string;
  readonly audience?: string;
  readonly typ?: string;
  readonly key?: DeviceKey;
}

function token({ claims, subject, audience, typ, key }: Change = {}): Promise<string> {
  return new SignJWT({ tunnel_id: BINDING.tunnelId, protocol: 'system', ...claims })
    .setProtectedHeader({ alg: 'EdDSA', typ: typ ?? 'tunnel+jwt' })
    .setSubject(subject ?? BINDING.agentId)
    .setAudience(audience ?? 'tunnel-agent')
    .setJti(randomUUID())
    .setExpirationTime(NOW_MS / 1000 + 120)
    .sign((key ?? SERVER).privateKey);
}

it('takes a token of the pinned control plane for just this agent and tunnel', async () => {
  expect(await verifyTunnelToken(await token(), BINDING)).toEqual({ protocol: 'system' });
});

it('judges its time by the clock of the control plane', async () => {
  const late = { ...BINDING, serverNowMs: NOW_MS + 124_000 };
  expect(await verifyTunnelToken(await token(), late)).toBeDefined();
  const tooLate = { ...BINDING, serverNowMs: NOW_MS + 126_000 };
  await expect(verifyTunnelToken(await token(), tooLate)).rejects.toMatchObject({ code: 'auth_failed' });
});

it.each<[string, Change]>([
  ['another agent', { subject: randomUUID() }],
  ['another tunnel', { claims: { tunnel_id: randomUUID() } }],
  ['an operator', { audience: 'tunnel-operator' }],
  ['another use', { typ: 'JWT' }],
  ['a key that is not pinned', { key: DeviceKey.generate() }],
  ['a protocol that is no text', { claims: { protocol: 7 } }],
])('refuses a token of %s', async (_name, change) => {
  await expect(verifyTunnelToken(await token(change), BINDING)).rejects.toMatchObject({ code: 'auth_failed' });
});

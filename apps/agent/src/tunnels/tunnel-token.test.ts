import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import { expect, it } from 'vitest';
import { DeviceKey } from '../identity/identity.ts';
import { TunnelTokenGate } from './tunnel-token.ts';
import type { TokenBinding } from './tunnel-token.ts';

const SERVER = new DeviceKey(generateKeyPairSync('ed25519').privateKey);
const NOW_MS = Date.UTC(2026, 0, 7);
const BINDING = {
  agentId: randomUUID(),
  tunnelId: randomUUID(),
  kind: 'system',
  port: undefined,
  serverKey: SERVER.publicKey,
  serverNowMs: NOW_MS,
} as const;

const redeem = (text: string, binding: TokenBinding) => new TunnelTokenGate().redeem(text, binding);

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
  expect(await redeem(await token(), BINDING)).toMatchObject({ protocol: 'system' });
});

it('judges its time by the clock of the control plane', async () => {
  const late = { ...BINDING, serverNowMs: NOW_MS + 124_000 };
  expect(await redeem(await token(), late)).toBeDefined();
  const tooLate = { ...BINDING, serverNowMs: NOW_MS + 126_000 };
  await expect(redeem(await token(), tooLate)).rejects.toMatchObject({ code: 'auth_failed' });
});

it.each<[string, Change]>([
  ['another agent', { subject: randomUUID() }],
  ['another tunnel', { claims: { tunnel_id: randomUUID() } }],
  ['an operator', { audience: 'tunnel-operator' }],
  ['another use', { typ: 'JWT' }],
  ['a key that is not pinned', { key: DeviceKey.generate() }],
  ['a lease, for the system tunnel', { claims: { protocol: 'tcp' } }],
  ['a protocol that is no text', { claims: { protocol: 7 } }],
])('refuses a token of %s', async (_name, change) => {
  await expect(redeem(await token(change), BINDING)).rejects.toMatchObject({ code: 'auth_failed' });
});

it('takes a token once', async () => {
  const gate = new TunnelTokenGate();
  const text = await token();
  await gate.redeem(text, BINDING);
  await expect(gate.redeem(text, BINDING)).rejects.toMatchObject({ code: 'auth_failed' });
  await gate.redeem(await token(), BINDING);
});

it('takes a token for a lease at the port it names, and at no other', async () => {
  const claims = { protocol: 'ssh', domain: 'ssh', port: 30_001 };
  const binding = { ...BINDING, kind: 'operator' } as const;
  expect(await redeem(await token({ claims }), { ...binding, port: 30_001 })).toMatchObject(claims);
  const elsewhere = redeem(await token({ claims }), { ...binding, port: 30_002 });
  await expect(elsewhere).rejects.toMatchObject({ code: 'auth_failed' });
});

it.each([
  ['is not signed', () => unsigned({ alg: 'none', typ: 'tunnel+jwt' })],
  ['is signed with a secret that everybody knows', () => signedByPublicKey()],
])('refuses a token that %s', async (_name, make) => {
  await expect(redeem(await make(), BINDING)).rejects.toMatchObject({ code: 'auth_failed' });
});

const GOOD = {
  sub: BINDING.agentId,
  aud: 'tunnel-agent',
  jti: randomUUID(),
  exp: NOW_MS / 1000 + 120,
  tunnel_id: BINDING.tunnelId,
  protocol: 'system',
};

function unsigned(header: object): string {
  return `${[header, GOOD].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')}.`;
}

/** The public key, which the agent has, taken for a shared secret. */
function signedByPublicKey(): Promise<string> {
  return new SignJWT(GOOD)
    .setProtectedHeader({ alg: 'HS256', typ: 'tunnel+jwt' })
    .sign(Buffer.from(SERVER.publicKey, 'base64url'));
}

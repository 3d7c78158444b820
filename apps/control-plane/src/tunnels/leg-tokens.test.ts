import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { SignJWT, decodeJwt } from 'jose';
import { LIMITS } from '@drawbridge/protocol';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Lease } from './lease.ts';
import { agentClaims, operatorClaims } from './lease-claims.ts';
import { OperatorTunnelsFixture } from './operator-tunnels-fixture.ts';

let world: OperatorTunnelsFixture;
let lease: Lease;
let good: string;
beforeEach(async () => {
  world = await OperatorTunnelsFixture.make();
  const { agentId, link } = await world.agent();
  lease = await world.request(agentId);
  good = (await world.asked(link)).token;
});
afterEach(() => world[Symbol.asyncDispose]());

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** The good token's claims under another signature. */
async function resigned(header: { readonly alg: string }, key: Parameters<SignJWT['sign']>[0]): Promise<string> {
  return new SignJWT(decodeJwt(good)).setProtectedHeader({ typ: 'tunnel+jwt', ...header }).sign(key);
}

it.each<[string, () => string | Promise<string>]>([
  ['is of another agent', () => world.tokens.issue({ ...agentClaims(lease), sub: randomUUID() })],
  ['is of another tunnel', () => world.tokens.issue({ ...agentClaims(lease), tunnel_id: randomUUID() })],
  ['is of another port', () => world.tokens.issue({ ...agentClaims(lease), port: lease.port + 1 })],
  ['is of another protocol', () => world.tokens.issue({ ...agentClaims(lease), protocol: 'ssh' })],
  ['is of another domain', () => world.tokens.issue({ ...agentClaims(lease), domain: 'ssh' })],
  ['is for the operator', () => world.tokens.issue(operatorClaims(lease, lease.operatorId), 'tunnel-operator')],
  ['is not signed', () => `${part({ alg: 'none', typ: 'tunnel+jwt' })}.${part(decodeJwt(good))}.`],
  ['has lost its signature', () => `${good.split('.').slice(0, 2).join('.')}.`],
  ['is signed by another key', () => resigned({ alg: 'EdDSA' }, generateKeyPairSync('ed25519').privateKey)],
  ['is signed with a secret', () => resigned({ alg: 'HS256' }, Buffer.alloc(32))],
  ['is none', () => ''],
])('refuses a leg whose token %s, and records it', async (_what, make) => {
  expect(await world.refusal(lease, { token: await make() })).toMatchObject({
    code: 'auth_failed',
    details: { retryable: false },
  });
  expect(world.refused).toMatchObject([
    {
      actor: `agent:${lease.agentId}`,
      verb: 'tunnel.attach',
      result: 'denied',
      reason: 'auth_failed',
      address: '192.0.2.7',
      details: { tunnel_id: lease.tunnelId, leg: 'agent' },
    },
  ]);
  expect(JSON.stringify(world.refused)).not.toContain('eyJ');
  expect(lease.legs.agent).toBe(false);
  expect(await world.refusal(lease, { token: good })).toBeUndefined();
});

it('refuses a token that was used, and one that is too old', async () => {
  expect(await world.refusal(lease, { token: good })).toBeUndefined();
  expect(await world.refusal(lease, { token: good })).toMatchObject({ code: 'auth_failed' });
  const late = await world.tokens.issue(agentClaims(lease));
  await world.clock.advance(LIMITS.tunnelTokenMs + 6_000);
  expect(await world.refusal(lease, { token: late })).toMatchObject({ code: 'auth_failed' });
});

it.each([
  ['another protocol', { protocol: 'ssh' }],
  ['another domain', { domain: 'ssh' }],
])('refuses a good token with a CONNECT that names %s', async (_what, connect) => {
  expect(await world.refusal(lease, { token: good, ...connect })).toMatchObject({ code: 'auth_failed' });
});

it('refuses a leg of a lease that is over, and of one that never was', async () => {
  await world.held.leases.end(lease.tunnelId, { code: 0, reason: 'over' }, 'system');
  expect(await world.refusal(lease, { token: good })).toMatchObject({ code: 'auth_failed' });
  const unknown = { ...lease, tunnelId: randomUUID() };
  expect(await world.refusal(unknown, { token: good })).toMatchObject({ code: 'auth_failed' });
});

import { createSecretKey, randomUUID } from 'node:crypto';
import { SignJWT, UnsecuredJWT, decodeJwt, exportSPKI } from 'jose';
import { LIMITS } from '@drawbridge/protocol';
import { FakeClock, TempDir } from '@drawbridge/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ServerIdentity } from '../identity/server-identity.ts';
import { TunnelTokens } from './tunnel-tokens.ts';
import type { TunnelAudience, TunnelClaims } from './tunnel-tokens.ts';

const CLAIMS: TunnelClaims = { sub: randomUUID(), tunnel_id: randomUUID(), port: 7400, protocol: 'ssh', domain: 'ssh' };
const REFUSED = { code: 'auth_failed' };

let dir: TempDir;
let clock: FakeClock;
let identity: ServerIdentity;
let tokens: TunnelTokens;
beforeEach(async () => {
  dir = await TempDir.make();
  clock = new FakeClock();
  identity = await ServerIdentity.load(dir.join('identity.json'));
  tokens = new TunnelTokens(identity, clock);
});
afterEach(() => dir[Symbol.asyncDispose]());

describe.each([
  ['tunnel-agent', CLAIMS],
  ['tunnel-operator', { ...CLAIMS, operator: 'user:ann' }],
] as const)('a token of %s', (audience, claims) => {
  const other = audience === 'tunnel-agent' ? 'tunnel-operator' : 'tunnel-agent';
  const issue = (more: Partial<TunnelClaims> = {}) => tokens.issue({ ...claims, ...more }, audience);
  const redeem = (token: string, by: TunnelAudience = audience) => tokens.redeem(token, claims, by);

  it('is good once', async () => {
    const token = await issue();
    await redeem(token);
    await expect(redeem(token)).rejects.toMatchObject({ ...REFUSED, message: 'the tunnel token was used before' });
    await clock.advance(LIMITS.tunnelTokenMs);
    await expect(redeem(token)).rejects.toMatchObject(REFUSED);
  });

  it.each([
    { sub: randomUUID() },
    { tunnel_id: randomUUID() },
    { port: 7401 },
    { protocol: 'tcp' },
    { domain: 'ps' },
    { operator: 'user:bob' },
  ])('binds just this tunnel: not %j', async (another) => {
    await expect(redeem(await issue(another))).rejects.toMatchObject(REFUSED);
  });

  it('is for this end of the tunnel, and is not spent by who tries it at the other', async () => {
    const token = await issue();
    await expect(redeem(token, other)).rejects.toMatchObject(REFUSED);
    await redeem(token);
  });

  it('is good for 120 seconds, and the 5 that clocks may differ', async () => {
    const early = await issue();
    await clock.advance(LIMITS.tunnelTokenMs + 4_000);
    await redeem(early);
    const { token: late, expiresAtMs } = await tokens.issueTimed(claims, audience);
    expect(expiresAtMs).toBe(clock.now() + LIMITS.tunnelTokenMs);
    await clock.advance(LIMITS.tunnelTokenMs + 6_000);
    await expect(redeem(late)).rejects.toMatchObject(REFUSED);
  });

  it('is not good when another control plane has signed it, or somebody in its name', async () => {
    const stranger = await ServerIdentity.load(dir.join('other.json'));
    await expect(redeem(await new TunnelTokens(stranger, clock).issue(claims, audience))).rejects.toMatchObject(
      REFUSED,
    );
    const forged = await (await inItsName('EdDSA')).sign(stranger.privateKey);
    await expect(redeem(forged)).rejects.toMatchObject(REFUSED);
    await redeem(await (await inItsName('EdDSA')).sign(identity.privateKey));
  });

  it('is not good in the next process: nobody knows there whether it was spent', async () => {
    const token = await issue();
    const next = new TunnelTokens(identity, clock);
    await expect(next.redeem(token, claims, audience)).rejects.toMatchObject(REFUSED);
  });

  it('is not good unsigned, or signed with what everybody knows', async () => {
    const unsigned = new UnsecuredJWT({ ...(await rest()), jti: randomUUID() })
      .setIssuer(identity.serverId)
      .setAudience(audience)
      .setSubject(claims.sub)
      .setIssuedAt(nowSeconds())
      .setExpirationTime(nowSeconds() + 60)
      .encode();
    const publicKey = createSecretKey(Buffer.from(await exportSPKI(identity.verifyKey)));
    const cut = `${(await issue()).split('.').slice(0, 2).join('.')}.`;
    for (const token of [unsigned, await (await inItsName('HS256')).sign(publicKey), cut, 'garbage', '']) {
      await expect(redeem(token)).rejects.toMatchObject(REFUSED);
    }
  });

  const nowSeconds = () => Math.floor(clock.now() / 1000);
  /** What a good token says of itself, apart from what each has of its own. */
  const rest = async () => {
    const { sub: _, jti: _id, ...others } = decodeJwt(await issue());
    return others;
  };
  const inItsName = async (alg: string) =>
    new SignJWT(await rest())
      .setProtectedHeader({ alg, typ: 'tunnel+jwt' })
      .setIssuer(identity.serverId)
      .setAudience(audience)
      .setSubject(claims.sub)
      .setJti(randomUUID())
      .setIssuedAt(nowSeconds())
      .setExpirationTime(nowSeconds() + 60);
});

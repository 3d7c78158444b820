import { randomUUID } from 'node:crypto';
import { LIMITS } from '@drawbridge/protocol';
import { FakeClock, TempDir } from '@drawbridge/testkit';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ServerIdentity } from '../identity/server-identity.ts';
import { TunnelTokens } from './tunnel-tokens.ts';

const CLAIMS = { sub: randomUUID(), tunnel_id: randomUUID(), port: 7400, protocol: 'system', domain: '' };
const REFUSED = { code: 'auth_failed' };

let dir: TempDir;
let clock: FakeClock;
let tokens: TunnelTokens;
beforeEach(async () => {
  dir = await TempDir.make();
  clock = new FakeClock();
  tokens = new TunnelTokens(await ServerIdentity.load(dir.join('identity.json')), clock);
});
afterEach(() => dir[Symbol.asyncDispose]());

it('is good once', async () => {
  const token = await tokens.issue(CLAIMS);
  await tokens.redeem(token, CLAIMS);
  await expect(tokens.redeem(token, CLAIMS)).rejects.toMatchObject(REFUSED);
  await clock.advance(LIMITS.tunnelTokenMs);
  await expect(tokens.redeem(token, CLAIMS)).rejects.toMatchObject(REFUSED);
});

it.each([{ sub: randomUUID() }, { tunnel_id: randomUUID() }, { port: 7401 }, { protocol: 'ssh' }, { domain: 'ps' }])(
  'binds just this tunnel: not %j',
  async (other) => {
    const token = await tokens.issue({ ...CLAIMS, ...other });
    await expect(tokens.redeem(token, CLAIMS)).rejects.toMatchObject(REFUSED);
  },
);

it('is good for 120 seconds, and the 5 that clocks may differ', async () => {
  const early = await tokens.issue(CLAIMS);
  await clock.advance(LIMITS.tunnelTokenMs + 4_000);
  await tokens.redeem(early, CLAIMS);
  const late = await tokens.issue(CLAIMS);
  await clock.advance(LIMITS.tunnelTokenMs + 6_000);
  await expect(tokens.redeem(late, CLAIMS)).rejects.toMatchObject(REFUSED);
});

it('is not good when another control plane has signed it', async () => {
  const other = new TunnelTokens(await ServerIdentity.load(dir.join('other.json')), clock);
  await expect(tokens.redeem(await other.issue(CLAIMS), CLAIMS)).rejects.toMatchObject(REFUSED);
  await expect(tokens.redeem('garbage', CLAIMS)).rejects.toMatchObject(REFUSED);
});

import { randomUUID } from 'node:crypto';
import { SignJWT, errors, jwtVerify } from 'jose';
import { z } from 'zod';
import type { Clock } from '@drawbridge/link';
import { ControlError, LIMITS } from '@drawbridge/protocol';
import type { ServerIdentity } from '../identity/server-identity.ts';

/** What a tunnel token binds. */
export const TunnelClaims = z.object({
  sub: z.uuid(),
  tunnel_id: z.uuid(),
  port: z.number().int(),
  protocol: z.string(),
  domain: z.string(),
});
export type TunnelClaims = z.infer<typeof TunnelClaims>;

const AUDIENCE = 'tunnel-agent';
const SKEW_SECONDS = 5;

/** Tokens for the agent's leg: signed by the control plane's key, 120 s to connect, one use (PROTOCOL.md §3.1). */
export class TunnelTokens {
  readonly #identity: ServerIdentity;
  readonly #clock: Clock;
  /** Spent ids until they would have expired anyway. */
  readonly #spent = new Map<string, number>();

  constructor(identity: ServerIdentity, clock: Clock) {
    this.#identity = identity;
    this.#clock = clock;
  }

  issue(claims: TunnelClaims): Promise<string> {
    const nowSeconds = Math.floor(this.#clock.now() / 1000);
    const { sub, ...rest } = claims;
    return new SignJWT(rest)
      .setProtectedHeader({ alg: 'EdDSA', typ: 'tunnel+jwt' })
      .setIssuer(this.#identity.serverId)
      .setAudience(AUDIENCE)
      .setSubject(sub)
      .setJti(randomUUID())
      .setIssuedAt(nowSeconds)
      .setExpirationTime(nowSeconds + LIMITS.tunnelTokenMs / 1000)
      .sign(this.#identity.privateKey);
  }

  /** Spends the token. Throws ControlError `auth_failed` unless it is ours, fresh, unspent, and binds just this. */
  async redeem(token: string, expected: TunnelClaims): Promise<void> {
    const payload = await this.#verify(token);
    const claims = TunnelClaims.safeParse(payload);
    const bound =
      claims.success &&
      claims.data.sub === expected.sub &&
      claims.data.tunnel_id === expected.tunnel_id &&
      claims.data.port === expected.port &&
      claims.data.protocol === expected.protocol &&
      claims.data.domain === expected.domain;
    if (!bound || payload.jti === undefined)
      throw new ControlError('auth_failed', 'the tunnel token is for another tunnel');
    this.#forgetExpired();
    if (this.#spent.has(payload.jti)) throw new ControlError('auth_failed', 'the tunnel token was used before');
    this.#spent.set(payload.jti, this.#clock.now() + LIMITS.tunnelTokenMs + SKEW_SECONDS * 1000);
  }

  async #verify(token: string) {
    try {
      const { payload } = await jwtVerify(token, this.#identity.verifyKey, {
        algorithms: ['EdDSA'],
        typ: 'tunnel+jwt',
        issuer: this.#identity.serverId,
        audience: AUDIENCE,
        requiredClaims: ['sub', 'jti', 'exp', 'iat'],
        clockTolerance: SKEW_SECONDS,
        currentDate: new Date(this.#clock.now()),
      });
      return payload;
    } catch (cause) {
      if (!(cause instanceof errors.JOSEError)) throw cause;
      throw new ControlError('auth_failed', 'the tunnel token is forged or expired', { cause });
    }
  }

  #forgetExpired(): void {
    const nowMs = this.#clock.now();
    for (const [jti, expiresMs] of this.#spent) {
      if (expiresMs > nowMs) return; // In the order of their expiry.
      this.#spent.delete(jti);
    }
  }
}

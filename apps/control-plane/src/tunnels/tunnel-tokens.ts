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
  /** Whose end it is for; an agent's end has none. */
  operator: z.string().optional(),
});
export type TunnelClaims = z.infer<typeof TunnelClaims>;

/** Which end of a tunnel a token is for. */
export type TunnelAudience = 'tunnel-agent' | 'tunnel-operator';

/** A token, and until when it can be used. */
export interface TimedToken {
  readonly token: string;
  readonly expiresAtMs: number;
}

const BOUND = ['sub', 'tunnel_id', 'port', 'protocol', 'domain', 'operator'] as const;
const SKEW_SECONDS = 5;

/** Tokens for the ends of tunnels: signed by the control plane's key, 120 s to connect, one use (PROTOCOL.md §3.1). */
export class TunnelTokens {
  readonly #identity: ServerIdentity;
  readonly #clock: Clock;
  /** Which tokens were spent is known to this process alone: those of another one are no good. */
  readonly #process = randomUUID();
  /** Spent ids until they would have expired anyway. */
  readonly #spent = new Map<string, number>();

  constructor(identity: ServerIdentity, clock: Clock) {
    this.#identity = identity;
    this.#clock = clock;
  }

  async issue(claims: TunnelClaims, audience: TunnelAudience = 'tunnel-agent'): Promise<string> {
    return (await this.issueTimed(claims, audience)).token;
  }

  /** As `issue`, with the time that the token itself says. */
  async issueTimed(claims: TunnelClaims, audience: TunnelAudience): Promise<TimedToken> {
    const nowSeconds = Math.floor(this.#clock.now() / 1000);
    const expiresSeconds = nowSeconds + LIMITS.tunnelTokenMs / 1000;
    const { sub, ...rest } = claims;
    const token = await new SignJWT({ ...rest, process: this.#process })
      .setProtectedHeader({ alg: 'EdDSA', typ: 'tunnel+jwt' })
      .setIssuer(this.#identity.serverId)
      .setAudience(audience)
      .setSubject(sub)
      .setJti(randomUUID())
      .setIssuedAt(nowSeconds)
      .setExpirationTime(expiresSeconds)
      .sign(this.#identity.privateKey);
    return { token, expiresAtMs: expiresSeconds * 1000 };
  }

  /** Spends the token. Throws ControlError `auth_failed` unless it is ours, fresh, unspent, for this end, and binds just this. */
  async redeem(token: string, expected: TunnelClaims, audience: TunnelAudience = 'tunnel-agent'): Promise<void> {
    const payload = await this.#verify(token, audience);
    const claims = TunnelClaims.safeParse(payload);
    if (payload['process'] !== this.#process)
      throw new ControlError('auth_failed', 'the tunnel token is from before a restart of the control plane');
    const isBound = claims.success && BOUND.every((name) => claims.data[name] === expected[name]);
    if (!isBound || payload.jti === undefined)
      throw new ControlError('auth_failed', 'the tunnel token is for another tunnel');
    this.#forgetExpired();
    if (this.#spent.has(payload.jti)) throw new ControlError('auth_failed', 'the tunnel token was used before');
    this.#spent.set(payload.jti, this.#clock.now() + LIMITS.tunnelTokenMs + SKEW_SECONDS * 1000);
  }

  async #verify(token: string, audience: TunnelAudience) {
    try {
      const { payload } = await jwtVerify(token, this.#identity.verifyKey, {
        algorithms: ['EdDSA'],
        typ: 'tunnel+jwt',
        issuer: this.#identity.serverId,
        audience,
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
